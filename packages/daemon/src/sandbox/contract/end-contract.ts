import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../base/clock.ts';
import { openSandboxes } from '../sandboxes.ts';
import type { ContractSuite } from './contract-suite.ts';
import { isGone, traces } from './contract-traces.ts';
import { waitFor } from './contract-waits.ts';

const quiet = { clock: systemClock, log: () => undefined };
const PROGRAM = fileURLToPath(new URL('../sandbox-contract-daemon.ts', import.meta.url));

/** Whoever dies, and however many come and go: nothing is left (7). */
export function testEnds({
  check,
  at,
  skip,
  driver,
  directory,
  runDirectory,
  hostNetwork,
}: ContractSuite): void {
  check('7 sandboxes die with the launcher, and a new one takes its place', { skip }, async () => {
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
    const child = spawn(process.execPath, [PROGRAM, driver, runOther, at().outputSocket, hostNetwork ?? ''], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await waitFor('the other daemon to have a sandbox', () => said.includes('\n'));
    const [sandboxPid = 0, launcherPid = 0] = said.trim().split(' ').map(Number);
    return { child, sandboxPid, launcherPid };
  };

  check('7 sandboxes die with the daemon, whose launcher then clears everything', { skip }, async () => {
    const runOther = join(directory, 'lonely-run');
    const { child, sandboxPid, launcherPid } = await otherDaemon(runOther);
    child.kill('SIGKILL');
    await waitFor('the launcher to end', () => isGone(launcherPid));
    assert.ok(isGone(sandboxPid));
    assert.deepEqual(traces(runOther), []);
    await waitFor('all output of the other daemon to end', () => at().openConnections() === 0);
  });

  check(
    '7 sandboxes die with daemon and launcher, and the next start clears the rest',
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
        hostNetwork,
      });
      await waitFor(
        'all output of the other daemon to end',
        () => at().openConnections() === 0 && at().connections > connections,
      );
      await next.close();
      assert.deepEqual(traces(runOther), []);
    },
  );

  check('whoever holds one that has ended has no hold on the next of its name', { skip }, async () => {
    const first = await at().start(['true'], { id: 'again' });
    await first.sandbox.exited;
    const second = await at().start(['sh', '-c', 'sleep 1; exit 7'], { id: 'again' });
    first.sandbox.kill();
    await first.sandbox.freeze();
    assert.deepEqual(await second.sandbox.exited, { code: 7, signal: null, outOfMemory: false });
  });

  check('many start at once', { skip }, async () => {
    const started = await Promise.all(Array.from({ length: 30 }, () => at().start(['true'])));
    const exits = await Promise.all(started.map(({ sandbox }) => sandbox.exited));
    assert.ok(exits.every(({ code }) => code === 0));
  });

  check('200 starts and kills leave nothing', { skip }, async () => {
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
