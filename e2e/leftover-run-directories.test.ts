import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isMarkAlive, LAUNCHER_MARK } from '@thaw/daemon/base/process-mark.ts';
import { startPlatform, temporaryDirectory } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';

test('a start removes the run directory of a platform that was killed, and no other', async (t) => {
  const home = await temporaryDirectory(t, 'thaw-');
  const outside = await temporaryDirectory(t);
  writeFileSync(join(outside, 'kept'), '');
  // Nothing says whose these are; the second is not even a directory.
  mkdirSync(join(home, 'thaw-0123456789ab'));
  symlinkSync(outside, join(home, 'thaw-ba9876543210'));
  const start = () => startPlatform(t, { stems: 0, environment: { XDG_RUNTIME_DIR: home } });
  const runDirectories = (): string[] => readdirSync(home).toSorted();
  const others = runDirectories();

  const killed = await start();
  const [left = ''] = runDirectories().filter((name) => !others.includes(name));
  assert.match(left, /^thaw-[\da-f]{12}$/);
  symlinkSync(outside, join(home, left, 'link'));
  const mark = readFileSync(join(home, left, LAUNCHER_MARK), 'utf8');
  const living = await start();
  const [lives = ''] = runDirectories().filter((name) => ![...others, left].includes(name));
  await killed.kill();
  await waitFor('its launcher to end', () => !isMarkAlive(mark), 60_000);
  const mounts = (): string => readFileSync('/proc/self/mountinfo', 'utf8');
  await waitFor('its mounts to go', () => !mounts().includes(left), 60_000);
  assert.deepEqual(runDirectories(), [...others, left, lives].toSorted());

  const next = await start();
  await waitFor('what was left to go', () => next.output().includes(`had left: ${left}\n`));
  const [own = ''] = runDirectories().filter((name) => ![...others, lives].includes(name));
  assert.deepEqual(runDirectories(), [...others, lives, own].toSorted());
  assert.ok(existsSync(join(outside, 'kept')));
  assert.equal((await fetch(`${living.url}/healthz`)).status, 200);
});
