import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { ContractSuite } from './contract-suite.ts';
import { traces } from './contract-traces.ts';
import { settled, waitFor } from './contract-waits.ts';
import { PATH } from './contract-world.ts';

/** Commands, their ends and their streams (1, 2, 3, 4, 8). */
export function testProcesses({ check, at, skip, driver, directory, runDirectory }: ContractSuite): void {
  check('1 runs the command with its environment and nothing else', { skip }, async () => {
    const { sandbox, output } = await at().start(['env'], {
      environment: { PATH, ODD: 'a=b\nc', 'with.dot': 'é' },
    });
    assert.deepEqual(await sandbox.exited, { code: 0, signal: null, outOfMemory: false });
    const lines = (await output('stdout')).split('\n').filter((line) => line !== '');
    assert.deepEqual(lines.toSorted(), ['ODD=a=b', `PATH=${PATH}`, 'c', 'with.dot=é'].toSorted());
  });

  check('1 a missing command rejects, names the command and leaves nothing', { skip }, async () => {
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

  check('1 a command that cannot be executed rejects', { skip }, async () => {
    await assert.rejects(at().start(['/etc/passwd']), { code: 'SANDBOX_FAILED' });
  });

  check('1 an output socket that nobody listens on rejects', { skip }, async () => {
    await assert.rejects(at().start(['true'], { outputSocket: join(directory, 'nobody') }), {
      code: 'SANDBOX_FAILED',
    });
  });

  check('8 stdin and stdout are one connection, stderr is not part of it', { skip }, async (t) => {
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

  check('8 a port of the sandbox alone leads to the daemon', { skip }, async (t) => {
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

  check('1 names that are not plain are refused', { skip }, async () => {
    await assert.rejects(at().start(['true'], { id: '../up' }), { code: 'SANDBOX_FAILED' });
    await assert.rejects(at().start(['A=b']), { code: 'SANDBOX_FAILED' });
    await assert.rejects(at().start(['true'], { environment: { 'A=': 'b' } }), { code: 'SANDBOX_FAILED' });
  });

  check('1 one sandbox per id at a time', { skip }, async () => {
    const { sandbox } = await at().start(['sleep', '1000'], { id: 'twice' });
    await assert.rejects(at().start(['true'], { id: 'twice' }), { code: 'SANDBOX_FAILED' });
    sandbox.kill();
    await sandbox.exited;
  });

  check('2 exit code and signal of the first process', { skip }, async () => {
    const ways = [
      ['exit 3', { code: 3, signal: null, outOfMemory: false }],
      ['kill -SEGV $$', { code: null, signal: 'SIGSEGV', outOfMemory: false }],
    ] as const;
    for (const [script, exit] of ways) {
      const { sandbox } = await at().start(['sh', '-c', script]);
      assert.deepEqual(await sandbox.exited, exit);
    }
  });

  check('2 the end of the first process ends the others', { skip }, async () => {
    const { sandbox, output } = await at().start(['sh', '-c', 'sleep 1000 & echo started']);
    assert.deepEqual(await sandbox.exited, { code: 0, signal: null, outOfMemory: false });
    // The connection ends only when the last process that holds it is gone.
    assert.equal(await output('stdout'), 'started\n');
  });

  check('2 output of both streams arrives whole, also when it is slow to be read', { skip }, async () => {
    const script = 'head -c 3000000 /dev/zero | tr "\\0" x; echo end >&2; echo to-stdout';
    const { sandbox, output } = await at().start(['sh', '-c', script]);
    await sandbox.exited;
    assert.equal((await output('stdout')).length, 3_000_000 + 'to-stdout\n'.length);
    assert.equal(await output('stderr'), 'end\n');
  });

  check('3 kill ends every process, twice does no harm, after the exit neither', { skip }, async () => {
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
  });

  check(
    '4 freeze stops every process, thaw continues them, a frozen one can be killed',
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
}
