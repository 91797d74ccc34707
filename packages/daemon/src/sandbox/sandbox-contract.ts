import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { after, before as beforeAll, test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { systemClock } from '../base/clock.ts';
import { platformHash } from './launcher/launcher.ts';
import { processStat } from './launcher/process-table.ts';
import type { DriverName } from './launcher/messages.ts';
import type { Sandbox, SandboxSpec } from './sandbox.ts';
import { openSandboxes, type Sandboxes } from './sandboxes.ts';

const WAIT_MS_MAX = 20_000;
const MEGABYTE = 1024 * 1024;
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Registers the tests that every driver passes; each names the number of the contract in `sandbox.ts`. */
export interface ContractVariant {
  readonly name: string;
  /** Over every specification of the suite. */
  readonly spec: Partial<SandboxSpec>;
  /** Why tests of this number cannot be passed; by the beginning of their titles. */
  readonly without: Readonly<Record<string, string>>;
  /** Why none of it can be shown here. */
  readonly skip?: string | undefined;
}

export async function sandboxContract(driver: DriverName, variant?: ContractVariant): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'thaw-sandbox-'));
  const runDirectory = join(directory, 'run');
  const hostNetwork = makeHostNetwork();
  const opened = await openOrReason(driver, runDirectory, hostNetwork?.path);
  const skip = typeof opened === 'string' ? opened : false;
  if (typeof opened === 'string') {
    rmSync(directory, { recursive: true });
    hostNetwork?.remove();
  }
  const world = typeof opened === 'string' ? undefined : new World(opened, directory, variant?.spec ?? {});
  const has = (what: string): string | false => (skip !== false ? skip : (world?.lacks(what) ?? false));
  const at = (): World => {
    assert.ok(world !== undefined);
    return world;
  };
  const named = (title: string): string => `${variant?.name ?? driver}: ${title}`;
  const check = (
    title: string,
    options: { skip: string | boolean },
    act: (t: TestContext) => unknown,
  ): void => {
    const without = Object.entries(variant?.without ?? {}).find(([begin]) => title.includes(`: ${begin}`));
    test(title, { skip: without?.[1] ?? variant?.skip ?? options.skip }, async (t) => {
      await act(t);
    });
  };

  beforeAll(() => world?.listen());
  after(async () => {
    if (world === undefined) return;
    await world.close();
    hostNetwork?.remove();
    assert.deepEqual(traces(runDirectory), []);
    rmSync(directory, { recursive: true, force: true });
  });

  check(named('1 runs the command with its environment and nothing else'), { skip }, async () => {
    const { sandbox, output } = await at().start(['env'], {
      environment: { PATH, ODD: 'a=b\nc', 'with.dot': 'é' },
    });
    assert.deepEqual(await sandbox.exited, { code: 0, signal: null, outOfMemory: false });
    const lines = (await output('stdout')).split('\n').filter((line) => line !== '');
    assert.deepEqual(lines.toSorted(), ['ODD=a=b', `PATH=${PATH}`, 'c', 'with.dot=é'].toSorted());
  });

  check(named('1 a missing command rejects, names the command and leaves nothing'), { skip }, async () => {
    // Networks are made ahead, so their number says nothing about one start.
    const groups = (): string[] => traces(runDirectory).filter((trace) => trace.startsWith('cgroup'));
    const before = groups();
    await assert.rejects(at().start(['no-such-command']), (error) => {
      assert.ok(error instanceof ThawError);
      assert.equal(error.code, 'SANDBOX_FAILED');
      assert.match(error.message, /no-such-command/u);
      return true;
    });
    await waitFor('no trace of the failed start', () => groups().length <= before.length);
  });

  check(named('1 a command that cannot be executed rejects'), { skip }, async () => {
    await assert.rejects(at().start(['/etc/passwd']), { code: 'SANDBOX_FAILED' });
  });

  check(named('1 an output socket that nobody listens on rejects'), { skip }, async () => {
    await assert.rejects(at().start(['true'], { outputSocket: join(directory, 'nobody') }), {
      code: 'SANDBOX_FAILED',
    });
  });

  check(named('8 stdin and stdout are one connection, stderr is not part of it'), { skip }, async (t) => {
    const stdioSocket = join(directory, 'stdio.sock');
    const answer = Promise.withResolvers<string>();
    const server = createServer((socket) => {
      // All of it is there before the command runs; none may be lost to whoever holds the connection meanwhile.
      socket.end('one\ntwo\n');
      answer.resolve(textOf(socket));
    });
    t.after(() => server.close());
    await new Promise<void>((resolve) => {
      server.listen(stdioSocket, resolve);
    });
    const script = 'read first; echo "got $first" >&2; cat; echo end';
    const { sandbox, output } = await at().start(['/bin/sh', '-c', script], { stdioSocket });
    assert.equal((await sandbox.exited).code, 0);
    assert.equal(await answer.promise, 'two\nend\n');
    assert.equal(await output('stderr'), 'got one\n');
  });

  check(named('8 a port of the sandbox alone leads to the daemon'), { skip }, async (t) => {
    if (driver === 'process') {
      await assert.rejects(at().start(['true'], { loopbackPort: 9001 }), { code: 'SANDBOX_FAILED' });
      return;
    }
    const bash = ['bash', '-c', 'exec 3<>/dev/tcp/127.0.0.1/9001 && cat <&3'] as const;
    const both = await Promise.all(
      ['first', 'second'].map(async (name) => {
        const { sandbox, output } = await at().start(bash, { loopbackPort: 9001 });
        const { listener } = sandbox;
        assert.ok(listener !== undefined);
        t.after(() => listener.close());
        listener.accept((socket) => socket.end(`for ${name}`));
        await sandbox.exited;
        return output('stdout');
      }),
    );
    assert.deepEqual(both, ['for first', 'for second']);
    const { sandbox, output } = await at().start(bash);
    assert.notEqual((await sandbox.exited).code, 0);
    assert.match(await output('stderr'), /refused/iu);
  });

  check(named('1 names that are not plain are refused'), { skip }, async () => {
    await assert.rejects(at().start(['true'], { id: '../up' }), { code: 'SANDBOX_FAILED' });
    await assert.rejects(at().start(['A=b']), { code: 'SANDBOX_FAILED' });
    await assert.rejects(at().start(['true'], { environment: { 'A=': 'b' } }), { code: 'SANDBOX_FAILED' });
  });

  check(named('1 one sandbox per id at a time'), { skip }, async () => {
    const { sandbox } = await at().start(['sleep', '1000'], { id: 'twice' });
    await assert.rejects(at().start(['true'], { id: 'twice' }), { code: 'SANDBOX_FAILED' });
    sandbox.kill();
    await sandbox.exited;
  });

  check(named('2 exit code and signal of the first process'), { skip }, async () => {
    const ways = [
      ['exit 3', { code: 3, signal: null, outOfMemory: false }],
      ['kill -SEGV $$', { code: null, signal: 'SIGSEGV', outOfMemory: false }],
    ] as const;
    for (const [script, exit] of ways) {
      const { sandbox } = await at().start(['sh', '-c', script]);
      assert.deepEqual(await sandbox.exited, exit);
    }
  });

  check(named('2 the end of the first process ends the others'), { skip }, async () => {
    const { sandbox, output } = await at().start(['sh', '-c', 'sleep 1000 & echo started']);
    assert.deepEqual(await sandbox.exited, { code: 0, signal: null, outOfMemory: false });
    // The connection ends only when the last process that holds it is gone.
    assert.equal(await output('stdout'), 'started\n');
  });

  check(
    named('2 output of both streams arrives whole, also when it is slow to be read'),
    { skip },
    async () => {
      const script = 'head -c 3000000 /dev/zero | tr "\\0" x; echo end >&2; echo to-stdout';
      const { sandbox, output } = await at().start(['sh', '-c', script]);
      await sandbox.exited;
      assert.equal((await output('stdout')).length, 3_000_000 + 'to-stdout\n'.length);
      assert.equal(await output('stderr'), 'end\n');
    },
  );

  check(
    named('3 kill ends every process, twice does no harm, after the exit neither'),
    { skip },
    async () => {
      const { sandbox, output, seen } = await at().start([
        'sh',
        '-c',
        'sleep 1000 & (sleep 1000 &) ; echo up; wait',
      ]);
      await waitFor('the sandbox to be up', () => seen('stdout').includes('up'));
      sandbox.kill();
      sandbox.kill();
      assert.deepEqual(await sandbox.exited, { code: null, signal: 'SIGKILL', outOfMemory: false });
      sandbox.kill();
      assert.equal(await output('stdout'), 'up\n');
    },
  );

  check(
    named('4 freeze stops every process, thaw continues them, a frozen one can be killed'),
    { skip },
    async () => {
      const script = 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done';
      const { sandbox, seen } = await at().start(['sh', '-c', script]);
      await waitFor('output', () => seen('stdout').length > 0);
      await sandbox.freeze();
      await sandbox.freeze();
      await settled(() => seen('stdout').length);
      const atFreeze = seen('stdout').length;
      // That nothing happens can only be seen by waiting: ten times the period of the loop.
      await delay(100);
      assert.equal(seen('stdout').length, atFreeze);
      await sandbox.thaw();
      await sandbox.thaw();
      await waitFor('output after the thaw', () => seen('stdout').length > atFreeze);
      await sandbox.freeze();
      sandbox.kill();
      assert.equal((await sandbox.exited).signal, 'SIGKILL');
      await sandbox.freeze();
      await sandbox.thaw();
    },
  );

  check(named('5 mounts, working directory and temporary files'), { skip }, async () => {
    const source = join(directory, 'code');
    mkdirSync(source, { recursive: true });
    writeFileSync(join(source, 'hello.txt'), 'from the mount');
    if (driver === 'process') {
      const { sandbox, output } = await at().start(['cat', 'hello.txt'], { workingDirectory: source });
      await sandbox.exited;
      assert.equal(await output('stdout'), 'from the mount');
      return;
    }
    const script =
      'cat hello.txt; pwd; touch x 2>/dev/null || echo read-only; echo a >/tmp/a && cat /tmp/a; touch /y /etc/y /dev/y /usr/y 2>/dev/null; ls /y /etc/y /dev/y /usr/y 2>/dev/null; echo $?';
    const { sandbox, output } = await at().start(['sh', '-c', script], {
      workingDirectory: '/deep/in/code',
      mounts: [{ source, target: '/deep/in/code', readOnly: true }],
    });
    await sandbox.exited;
    assert.equal(await output('stdout'), 'from the mount/deep/in/code\nread-only\na\n2\n');
  });

  check(
    named('5 a writable mount can be written, below a read-only one'),
    { skip: skip || notFor(driver) },
    async () => {
      const shared = join(directory, 'shared');
      mkdirSync(join(directory, 'outer', 'inner'), { recursive: true });
      mkdirSync(shared, { mode: 0o777 });
      chmodSync(shared, 0o777);
      const { sandbox, output } = await at().start(
        ['sh', '-c', 'echo hi > /outer/inner/f && cat /outer/inner/f'],
        {
          mounts: [
            { source: shared, target: '/outer/inner', readOnly: false },
            { source: join(directory, 'outer'), target: '/outer', readOnly: true },
          ],
        },
      );
      await sandbox.exited;
      assert.equal(await output('stdout'), 'hi\n');
      assert.equal(readFileSync(join(shared, 'f'), 'utf8'), 'hi\n');
    },
  );

  check(named('5 nothing of the host is to be seen'), { skip: skip || notFor(driver) }, async () => {
    const script =
      'ls /root /home /work /sys /var/lib 2>/dev/null; ls /proc | grep -c "^[0-9]"; cat /etc/shadow 2>/dev/null; ls -l /proc/self/fd 2>/dev/null | grep -v /fd$ | grep -c " -> "; tr "\\0" " " < /proc/1/cmdline';
    const { sandbox, output } = await at().start(['sh', '-c', script]);
    await sandbox.exited;
    const [processes = '', files = '', commandLine = ''] = (await output('stdout')).split('\n');
    assert.ok(Number(processes) <= 5, `${processes} processes are visible`);
    assert.equal(files.trim(), '3', 'descriptors 0, 1 and 2');
    assert.ok(!commandLine.includes(directory), commandLine);
  });

  check(named('5 no privilege is left'), { skip: skip || notFor(driver) }, async () => {
    const script = `grep -E "^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp):" /proc/self/status; id -un; unshare -U true 2>&1 | head -c 0; unshare -U true 2>/dev/null; echo $?; mount -t tmpfs x /tmp 2>/dev/null; echo $?; echo 1 2>/dev/null > /proc/sys/kernel/sysrq; echo $?`;
    const { sandbox, output } = await at().start(['sh', '-c', script]);
    await sandbox.exited;
    const lines = (await output('stdout')).replaceAll('\t', ' ').split('\n');
    const none = '0000000000000000';
    const bounding = lines.find((line) => line.startsWith('CapBnd'));
    assert.deepEqual(lines.slice(0, 3), [`CapInh: ${none}`, `CapPrm: ${none}`, `CapEff: ${none}`]);
    assert.equal(bounding, `CapBnd: ${none}`);
    assert.deepEqual(lines.slice(4, 8), [`CapAmb: ${none}`, 'NoNewPrivs: 1', 'Seccomp: 2', 'thaw']);
    assert.equal(lines.slice(8, 11).includes('0'), false, lines.join('\n'));
  });

  check(named('6 the temporary directory is bounded'), { skip: skip || notFor(driver) }, async () => {
    const { sandbox, output } = await at().start(
      ['sh', '-c', 'head -c 9000000 /dev/zero > /tmp/big; stat -c %s /tmp/big'],
      {
        temporaryBytesMax: 4 * MEGABYTE,
      },
    );
    await sandbox.exited;
    assert.equal(await output('stdout'), `${4 * MEGABYTE}\n`);
  });

  const root = variant?.spec.root;
  check(
    named('6 what is written over an image is bounded, and is seen by nobody else'),
    { skip: skip || (root === undefined ? 'there is no image' : false) },
    async () => {
      assert.ok(root !== undefined);
      const changes: Partial<SandboxSpec> = {
        root: { ...root, writableBytesMax: 4 * MEGABYTE, missingDirectory: '/own' },
        workingDirectory: '/own',
      };
      const script = 'head -c 9000000 /dev/zero > big; [ $(stat -c %s big) -lt 4194305 ] && echo bounded; ls';
      for (let time = 0; time < 2; time++) {
        const { sandbox, output } = await at().start(['sh', '-c', script], changes);
        await sandbox.exited;
        assert.equal(await output('stdout'), 'bounded\nbig\n');
      }
      assert.equal(existsSync(join(root.lower, 'own')), false);
    },
  );

  check(named('6 a memory hog is ended and reported'), { skip: has('memory is not limited') }, async () => {
    const { sandbox } = await at().start(['sh', '-c', 'x=a; while :; do x=$x$x; done'], {
      memoryBytesMax: 64 * MEGABYTE,
    });
    const exit = await sandbox.exited;
    assert.equal(exit.outOfMemory, true);
    const peak = sandbox.memoryBytesPeak();
    assert.ok(peak === undefined || peak <= 64 * MEGABYTE);
  });

  check(named('6 the peak of memory is measured'), { skip: has('memory is not limited') }, async () => {
    const { sandbox, seen } = await at().start([
      'sh',
      '-c',
      'x=$(head -c 20000000 /dev/zero | tr "\\0" x); echo done; sleep 1000',
    ]);
    await waitFor('memory to be used', () => seen('stdout').includes('done'));
    assert.ok((sandbox.memoryBytesPeak() ?? 0) > 20_000_000);
    sandbox.kill();
    await sandbox.exited;
  });

  check(named('6 a fork bomb stops at the limit'), { skip: has('processes is not limited') }, async () => {
    const script =
      'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 1000 & done; echo all';
    const { sandbox, output } = await at().start(['sh', '-c', script], { processesMax: 10 });
    const exit = await sandbox.exited;
    assert.equal(await output('stdout'), '');
    assert.notEqual(exit.code, 0);
    assert.match(await output('stderr'), /fork/u);
  });

  const late = skip || (world?.sandboxes.driver.cannotSpecialize ?? false);
  const lateLimits = {
    memoryBytesMax: 256 * MEGABYTE,
    cpu: 1,
    cpuShare: 512,
    temporaryBytesMax: 64 * MEGABYTE,
  };
  check(named('9 a late target is refused where it cannot be filled'), { skip: late === false }, async () => {
    if (skip === false)
      await assert.rejects(at().start(['true'], { lateTargets: ['/code'] }), { code: 'SANDBOX_FAILED' });
  });

  check(
    named('9 late mounts appear read-only, and without a trace on the host'),
    { skip: late },
    async () => {
      const source = join(directory, 'late package');
      mkdirSync(join(source, 'lib'), { recursive: true });
      writeFileSync(join(source, 'hello.txt'), 'late\n');
      writeFileSync(join(source, 'program'), '#!/bin/sh\necho runs\n', { mode: 0o755 });
      const script = `ls /code; until [ -e /code/hello.txt ]; do sleep 0.01; done; cat /code/hello.txt; /code/program
      touch /code/x 2>/dev/null || echo read-only; ls /opt; umount /code 2>/dev/null; ls /code
      grep -c -E " /code (ro|rw),nosuid,nodev" /proc/self/mountinfo`;
      const { sandbox, output, seen } = await at().start(['sh', '-c', script], {
        lateTargets: ['/code', '/opt'],
      });
      await waitFor('its look at the empty directory', () => seen('stdout') === 'lib\n');
      await sandbox.specialize({ ...lateLimits, mounts: [{ source, target: '/code' }] });
      assert.equal((await sandbox.exited).code, 0);
      assert.equal(await output('stdout'), 'lib\nlate\nruns\nread-only\nlib\nhello.txt\nlib\nprogram\n2\n');
      assert.ok(!readFileSync('/proc/self/mountinfo', 'utf8').includes('/launcher/late'));
      const left = readdirSync(join(runDirectory, 'launcher', 'late'), { recursive: true, encoding: 'utf8' });
      assert.deepEqual(new Set(left), new Set(['shared', 'staging']));
      rmSync(source, { recursive: true });
    },
  );

  check(named('9 who works in a late target from the start finds its files'), { skip: late }, async () => {
    const source = join(directory, 'working package');
    mkdirSync(join(source, 'below'), { recursive: true });
    writeFileSync(join(source, 'below', 'hello.txt'), 'late\n');
    const script = `until [ -e /code/below ]; do sleep 0.01; done; cat below/hello.txt ./below/../below/hello.txt
      ls; readlink -f below; pwd -P; touch x 2>/dev/null || echo read-only`;
    const overrides = { lateTargets: ['/code'], workingDirectory: '/code' };
    const { sandbox, output } = await at().start(['sh', '-c', script], overrides);
    await sandbox.specialize({ ...lateLimits, mounts: [{ source, target: '/code' }] });
    assert.equal((await sandbox.exited).code, 0);
    assert.equal(await output('stdout'), 'late\nlate\nbelow\n/code/below\n/code\nread-only\n');
  });

  check(named('9 late limits hold'), { skip: late || has('memory is not limited') }, async () => {
    const script = `until [ -e /code/go ]; do sleep 0.01; done
      head -c 9000000 /dev/zero > /tmp/big; stat -c %s /tmp/big
      x=$(head -c 40000000 /dev/zero | tr "\\0" x); printf %s "$x" | wc -c; y=a; while :; do y=$y$y; done`;
    const { sandbox, output } = await at().start(['sh', '-c', script], {
      lateTargets: ['/code'],
      memoryBytesMax: 32 * MEGABYTE,
      temporaryBytesMax: MEGABYTE,
    });
    const source = join(directory, 'go');
    mkdirSync(source);
    writeFileSync(join(source, 'go'), '');
    await sandbox.specialize({
      ...lateLimits,
      mounts: [{ source, target: '/code' }],
      temporaryBytesMax: 4 * MEGABYTE,
    });
    assert.equal((await sandbox.exited).outOfMemory, true);
    assert.equal(await output('stdout'), `${4 * MEGABYTE}\n40000000\n`);
  });

  check(named('9 a sandbox that was not made for it, or has ended, refuses'), { skip: late }, async () => {
    const plain = await at().start(['sleep', '1000']);
    const change = { ...lateLimits, mounts: [] };
    await assert.rejects(plain.sandbox.specialize(change), { code: 'SANDBOX_FAILED' });
    const made = await at().start(['sleep', '1000'], { lateTargets: ['/code'] });
    const missing = [{ source: join(directory, 'not there'), target: '/code' }];
    await assert.rejects(made.sandbox.specialize({ ...change, mounts: missing }), { code: 'SANDBOX_FAILED' });
    for (const { sandbox } of [plain, made]) {
      sandbox.kill();
      await sandbox.exited;
      await assert.rejects(sandbox.specialize(change), { code: 'SANDBOX_FAILED' });
    }
  });

  check(named('6 CPU time is bounded'), { skip: has('CPU is not limited') }, async () => {
    const { sandbox, seen } = await at().start(['sh', '-c', 'echo up; while :; do :; done'], { cpu: 0.1 });
    await waitFor('the sandbox to be up', () => seen('stdout').includes('up'));
    const startMs = performance.now();
    const ticksBefore = cpuTicks(sandbox.pid);
    await delay(1000);
    const share = ((cpuTicks(sandbox.pid) - ticksBefore) * 10) / (performance.now() - startMs);
    sandbox.kill();
    await sandbox.exited;
    assert.ok(share < 0.3, `used ${share} of a core`);
  });

  check(named('7 sandboxes die with the launcher, and a new one takes its place'), { skip }, async () => {
    const { sandbox, output, seen } = await at().start(['sh', '-c', 'sleep 1000 & echo up; wait']);
    await waitFor('the sandbox to be up', () => seen('stdout').includes('up'));
    const pid = at().sandboxes.launcherPid();
    assert.ok(pid !== undefined);
    process.kill(pid, 'SIGKILL');
    assert.deepEqual(await sandbox.exited, { code: null, signal: 'SIGKILL', outOfMemory: false });
    assert.equal(await output('stdout'), 'up\n');
    const next = await at().start(['true']);
    assert.equal((await next.sandbox.exited).code, 0);
  });

  /** A daemon in a process of its own that runs one sandbox. */
  const otherDaemon = async (
    runOther: string,
  ): Promise<{ child: ChildProcess; sandboxPid: number; launcherPid: number }> => {
    const child = spawn(
      process.execPath,
      [PROGRAM, driver, runOther, at().outputSocket, hostNetwork?.path ?? ''],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await waitFor('the other daemon to have a sandbox', () => said.includes('\n'));
    const [sandboxPid = 0, launcherPid = 0] = said.trim().split(' ').map(Number);
    return { child, sandboxPid, launcherPid };
  };

  check(
    named('7 sandboxes die with the daemon, whose launcher then clears everything'),
    { skip },
    async () => {
      const runOther = join(directory, 'lonely-run');
      const { child, sandboxPid, launcherPid } = await otherDaemon(runOther);
      child.kill('SIGKILL');
      await waitFor('the launcher to end', () => isGone(launcherPid));
      assert.ok(isGone(sandboxPid));
      assert.deepEqual(traces(runOther), []);
      await waitFor('all output of the other daemon to end', () => at().openConnections() === 0);
    },
  );

  check(
    named('7 sandboxes die with daemon and launcher, and the next start clears the rest'),
    { skip },
    async () => {
      const runOther = join(directory, 'other-run');
      const connections = at().connections;
      const { child, sandboxPid, launcherPid } = await otherDaemon(runOther);
      // The launcher first: the daemon would start another one.
      if (child.pid !== undefined) process.kill(child.pid, 'SIGSTOP');
      process.kill(launcherPid, 'SIGKILL');
      child.kill('SIGKILL');
      await waitFor('the first process to die with them', () => isGone(sandboxPid));
      const next = await openSandboxes({
        ...quiet,
        runDirectory: runOther,
        isolation: driver,
        hostNetwork: hostNetwork?.path,
      });
      await waitFor(
        'all output of the other daemon to end',
        () => at().openConnections() === 0 && at().connections > connections,
      );
      await next.close();
      assert.deepEqual(traces(runOther), []);
    },
  );

  check(named('many start at once'), { skip }, async () => {
    const started = await Promise.all(Array.from({ length: 30 }, () => at().start(['true'])));
    const exits = await Promise.all(started.map(({ sandbox }) => sandbox.exited));
    assert.ok(exits.every(({ code }) => code === 0));
  });

  check(named('200 starts and kills leave nothing'), { skip }, async () => {
    const start = traces(runDirectory).filter((trace) => trace.startsWith('cgroup'));
    for (let round = 0; round < 25; round++) {
      const started = await Promise.all(Array.from({ length: 8 }, () => at().start(['sleep', '1000'])));
      for (const { sandbox } of started) sandbox.kill();
      await Promise.all(started.map(({ sandbox }) => sandbox.exited));
      assert.ok(started.every(({ sandbox }) => isGone(sandbox.pid)));
    }
    assert.deepEqual(
      traces(runDirectory).filter((trace) => trace.startsWith('cgroup')),
      start,
    );
    await waitFor('all output to end', () => at().openConnections() === 0);
  });
}

/** Root's sandboxes get networks; a namespace of the suite's own plays the host, so that the machine's rules stay as they are. */
function makeHostNetwork(): { readonly path: string; remove(): void } | undefined {
  const name = `tt-contract-${process.pid}`;
  if (process.getuid?.() !== 0 || spawnSync('ip', ['netns', 'add', name]).status !== 0) return undefined;
  return { path: `/run/netns/${name}`, remove: () => void spawnSync('ip', ['netns', 'del', name]) };
}

async function openOrReason(
  driver: DriverName,
  runDirectory: string,
  hostNetwork: string | undefined,
): Promise<Sandboxes | string> {
  try {
    return await openSandboxes({ ...quiet, runDirectory, isolation: driver, hostNetwork });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

interface Started {
  readonly sandbox: Sandbox;
  /** What has been written so far. */
  readonly seen: (stream: 'stdout' | 'stderr') => string;
  /** All that was written, once every process has let go of the stream. */
  readonly output: (stream: 'stdout' | 'stderr') => Promise<string>;
}

/** One platform's sandboxes and the listener that takes their output. */
class World {
  readonly sandboxes: Sandboxes;
  readonly outputSocket: string;
  connections = 0;
  readonly #server: Server;
  readonly #spec: Partial<SandboxSpec>;
  readonly #outputs = new Map<string, { text: string; isEnded: boolean }>();
  #nextId = 1;
  #open = 0;

  constructor(sandboxes: Sandboxes, directory: string, spec: Partial<SandboxSpec>) {
    this.sandboxes = sandboxes;
    this.#spec = spec;
    this.outputSocket = join(directory, 'out.sock');
    this.#server = createServer((socket) => {
      this.connections++;
      this.#open++;
      let text = '';
      const output = { text: '', isEnded: false };
      socket.setEncoding('utf8');
      socket.on('data', (chunk: string) => {
        text += chunk;
        const [name = ''] = text.split('\n', 1);
        output.text = text.slice(name.length + 1);
        this.#outputs.set(name, output);
      });
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#open--;
        output.isEnded = true;
      });
    });
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.listen(this.outputSocket, resolve);
    });
  }

  openConnections(): number {
    return this.#open;
  }

  lacks(what: string): string | undefined {
    return this.sandboxes.driver.shortcomings.find((text) => text.includes(what));
  }

  async start(command: readonly [string, ...string[]], changes: Partial<SandboxSpec> = {}): Promise<Started> {
    const spec: SandboxSpec = {
      id: `s${this.#nextId++}`,
      command,
      environment: { PATH },
      workingDirectory: '/',
      mounts: [],
      memoryBytesMax: 256 * MEGABYTE,
      cpu: 1,
      cpuShare: 512,
      processesMax: 64,
      temporaryBytesMax: 64 * MEGABYTE,
      network: 'none',
      outputSocket: this.outputSocket,
      ...this.#spec,
      ...changes,
    };
    const sandbox = await this.sandboxes.driver.start(spec);
    const output = (stream: string): { text: string; isEnded: boolean } | undefined =>
      this.#outputs.get(`${stream} ${spec.id}`);
    return {
      sandbox,
      seen: (stream) => output(stream)?.text ?? '',
      output: async (stream) => {
        await waitFor(`the end of ${stream}`, () => output(stream)?.isEnded === true);
        return output(stream)?.text ?? '';
      },
    };
  }

  async close(): Promise<void> {
    await this.sandboxes.close();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

const quiet = { clock: systemClock, log: () => undefined };
const PROGRAM = fileURLToPath(new URL('sandbox-contract-daemon.ts', import.meta.url));

function notFor(driver: DriverName): string | false {
  return driver === 'process' ? 'the process driver does not isolate files, network or privileges' : false;
}

/** What a platform has left on the machine: cgroups, named network namespaces, interfaces. */
export function traces(runDirectory: string): string[] {
  const hash = platformHash(runDirectory);
  const groups = cgroupDirectories('/sys/fs/cgroup', `thaw-${hash}`).flatMap((path) => [
    `cgroup ${path}`,
    ...readdirSync(path, { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? [`cgroup ${path}/${entry.name}`] : [],
    ),
  ]);
  const names = existsSync('/run/netns') ? readdirSync('/run/netns') : [];
  const interfaces = readFileSync('/proc/self/net/dev', 'utf8')
    .split('\n')
    .map((line) => line.trim());
  return [
    ...groups,
    ...names.filter((name) => name.startsWith(`thaw-${hash}`)).map((name) => `namespace ${name}`),
    ...interfaces
      .filter((name) => name.startsWith(`thaw${hash.slice(0, 6)}`))
      .map((name) => `interface ${name}`),
  ];
}

function cgroupDirectories(below: string, name: string, depth = 5): string[] {
  if (depth === 0 || !existsSync(below)) return [];
  return readdirSync(below, { withFileTypes: true }).flatMap((entry) => {
    if (!entry.isDirectory()) return [];
    const path = join(below, entry.name);
    return entry.name === name ? [path] : cgroupDirectories(path, name, depth - 1);
  });
}

async function waitFor(what: string, condition: () => boolean): Promise<void> {
  const endMs = performance.now() + WAIT_MS_MAX;
  while (!condition()) {
    if (performance.now() > endMs) assert.fail(`waited in vain for ${what}`);
    await delay(2);
  }
}

/** Waits until a value has stayed the same for a while. */
async function settled(value: () => number): Promise<void> {
  let last = value();
  let sameSinceMs = performance.now();
  await waitFor('a value to settle', () => {
    if (value() !== last) {
      last = value();
      sameSinceMs = performance.now();
    }
    return performance.now() - sameSinceMs > 30;
  });
}

function isGone(pid: number): boolean {
  const state = processStat(pid)?.state;
  return state === undefined || state === 'Z' || state === 'X';
}

/** User and system time of a process and its children that still run, in hundredths of a second. */
function cpuTicks(root: number): number {
  let ticks = 0;
  const stack = [root];
  for (let pid = stack.pop(); pid !== undefined; pid = stack.pop()) {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    ticks += Number(fields[11]) + Number(fields[12]);
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    if (children !== '') stack.push(...children.split(' ').map(Number));
  }
  return ticks;
}
