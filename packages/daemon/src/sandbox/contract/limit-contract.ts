import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { ContractSuite } from './contract-suite.ts';
import { waitFor } from './contract-waits.ts';
import { MEGABYTE } from './contract-world.ts';

/** Memory, processes and CPU time (6). */
export function testLimits({ check, at, has }: ContractSuite): void {
  check('6 a memory hog is ended and reported', { skip: has('memory is not limited') }, async () => {
    const { sandbox } = await at().start(['sh', '-c', 'x=a; while :; do x=$x$x; done'], {
      memoryBytesMax: 64 * MEGABYTE,
    });
    const exit = await sandbox.exited;
    assert.equal(exit.outOfMemory, true);
    const peak = sandbox.memoryBytesPeak();
    assert.ok(peak === undefined || peak <= 64 * MEGABYTE);
  });

  check('6 the peak of memory is measured', { skip: has('memory is not limited') }, async () => {
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

  check('6 a fork bomb stops at the limit', { skip: has('processes is not limited') }, async () => {
    const script =
      'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 1000 & done; echo all';
    const { sandbox, output } = await at().start(['sh', '-c', script], { processesMax: 10 });
    const exit = await sandbox.exited;
    assert.equal(await output('stdout'), '');
    assert.notEqual(exit.code, 0);
    assert.match(await output('stderr'), /fork/u);
  });

  check('6 CPU time is bounded', { skip: has('CPU is not limited') }, async () => {
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
