import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ContractSuite } from './contract-suite.ts';
import { waitFor } from './contract-waits.ts';
import { MEGABYTE } from './contract-world.ts';

/** Sandboxes that get their directories and limits while they run (9). */
export function testLateTargets({ check, at, skip, has, directory, runDirectory }: ContractSuite): void {
  const late = skip || (at().sandboxes.driver.cannotSpecialize ?? false);

  const lateLimits = {
    memoryBytesMax: 256 * MEGABYTE,
    cpu: 1,
    cpuShare: 512,
    temporaryBytesMax: 64 * MEGABYTE,
  };

  const canFill = late === false ? 'this driver can fill it' : false;
  check('9 a late target is refused where it cannot be filled', { skip: skip || canFill }, async () => {
    await assert.rejects(at().start(['true'], { lateTargets: ['/code'] }), { code: 'SANDBOX_FAILED' });
  });

  check('9 late mounts appear read-only, and without a trace on the host', { skip: late }, async () => {
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
    // They are taken away together with those of others, after the end.
    const places = join(runDirectory, 'launcher', 'late');
    const left = (): string[] => readdirSync(places, { recursive: true, encoding: 'utf8' }).toSorted();
    await waitFor('its places to go', () => left().join(' ') === 'shared staging');
    rmSync(source, { recursive: true });
  });

  check('9 who works in a late target from the start finds its files', { skip: late }, async () => {
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

  check('9 late limits hold', { skip: late || has('memory is not limited') }, async () => {
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

  check('9 a sandbox that was not made for it, or has ended, refuses', { skip: late }, async () => {
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
}
