import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { startPlatform, temporaryDirectory, THAW, type Platform } from '@thaw/testkit/platform.ts';
import { deployExample } from './fixtures/deploy-example.ts';
import { missingProgram, missingPythonIndex } from './fixtures/requirements.ts';

const run = promisify(execFile);
const BURST_MS_MAX = 240_000;

/** Runs the example's script as a user does who has `thaw` on the path. */
async function burst(
  t: TestContext,
  platform: Platform,
  directory: string,
  environment: Readonly<Record<string, string>>,
): Promise<string> {
  const tools = await temporaryDirectory(t, 'thaw tools ');
  const thaw = join(tools, 'thaw');
  const words = [process.execPath, THAW].map((word) => `'${word}'`).join(' ');
  await writeFile(thaw, `#!/bin/sh\nexec ${words} "$@" --data-dir '${platform.dataDir}'\n`);
  await chmod(thaw, 0o755);
  const { stdout, stderr } = await run(join(directory, 'burst.sh'), [join(tools, 'work')], {
    env: { ...process.env, THAW: thaw, CONCURRENCY: '4', ...environment },
    timeout: BURST_MS_MAX,
  });
  return stdout + stderr;
}

test(
  'a clip that functions encode piece by piece is the clip of one process',
  {
    skip: missingProgram('ffmpeg', 'ffprobe'),
  },
  async (t) => {
    const platform = await startPlatform(t);
    const directory = await deployExample(t, platform, 'burst/video');
    assert.ok(directory !== undefined);
    const output = await burst(t, platform, directory, { SECONDS_OF_CLIP: '4' });
    assert.match(output, /^4 done/mu);
    assert.match(output, /4 pieces, 96 frames, the same as by one process/u);
  },
);

test('a join over functions that exchange partitions is the answer of one process', async (t) => {
  const platform = await startPlatform(t);
  const directory = await deployExample(t, platform, 'burst/analytics', missingPythonIndex);
  if (directory === undefined) return;
  const sizes = { ORDERS: '100000', CUSTOMERS: '3000', PARTS: '3', BUCKETS: '3' };
  const output = await burst(t, platform, directory, sizes);
  assert.match(output, /100000 orders in 3 parts and 3 buckets, the same as by one process/u);
  assert.equal(output.match(/"segment"/gu)?.length, 4 * 12);
});
