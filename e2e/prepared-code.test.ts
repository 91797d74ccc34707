import assert from 'node:assert/strict';
import { appendFile, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import {
  startPlatform,
  temporaryDirectory,
  type Platform,
  type PlatformOptions,
} from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { missingSandbox } from './fixtures/requirements.ts';
import { jsonOf } from './support/http-call.ts';
import { createFunction, invoke } from './support/functions.ts';

/** More source than a preparation is worth making for: nothing of it runs. */
const BULK = 90_000;
const NODE = {
  'index.js': `const bulk = require('./bulk.js');
exports.handler = async () => {
  const directory = require('node:module').getCompileCacheDir?.();
  const read = directory === undefined ? [] : require('node:fs').readdirSync(require('node:fs').realpathSync(directory));
  return { bulk: bulk(), cached: read.length };
};`,
  'bulk.js': `module.exports = () => 'node';\n${'function never() { return [1, 2, 3].map((n) => n * 2); }\n'.repeat(BULK / 57)}`,
};
const PYTHON = {
  'index.py': `import os, bulk
def handler(event, context):
    return {"bulk": bulk.name, "cached": os.path.exists(bulk.__cached__)}`,
  'bulk.py': `name = "python"\n${'def never():\n    return [n * 2 for n in (1, 2, 3)]\n'.repeat(BULK / 46)}`,
  'template.py': 'this is {{ no }} python',
};

/** The files of every preparation that is ready. */
async function preparedFiles(dataDir: string): Promise<string[]> {
  const names = await readdir(join(dataDir, 'prepared'), { recursive: true }).catch(() => []);
  const ready = names.filter((name) => /^[^/]+\/[0-9a-f]+\/manifest\.json$/u.test(name));
  return names.filter((name) =>
    ready.some((manifest) => name.startsWith(manifest.slice(0, -'manifest.json'.length))),
  );
}

/** Code that is loaded ahead may be loaded before it is prepared. */
const ONE_BY_ONE: PlatformOptions = { needs: ['prepare'], arguments: ['--load-ahead', 'off'] };

async function platformWithSandboxes(t: TestContext, dataDir: string): Promise<Platform | undefined> {
  const platform = await startPlatform(t, { dataDir, ...ONE_BY_ONE });
  const missing = await missingSandbox(platform);
  if (missing === undefined) return platform;
  t.skip(missing);
  return undefined;
}

test('code is compiled once after its deployment, and damage is mended', async (t) => {
  const dataDir = await temporaryDirectory(t, 'thaw prepared ');
  const platform = await platformWithSandboxes(t, dataDir);
  if (platform === undefined) return;
  await createFunction(platform, 'node', { code: NODE });
  await createFunction(platform, 'python', { code: PYTHON, language: 'python' });
  const isReady = async (): Promise<string[] | false> => {
    const names = await preparedFiles(dataDir);
    return names.filter((name) => name.endsWith('manifest.json')).length === 2 && names;
  };
  const files = await waitFor('the code to be prepared', isReady, 60_000);
  assert.ok(
    files.some((name) => /\/code\/__pycache__\/bulk\.cpython-\d+\.pyc$/u.test(name)),
    files.join('\n'),
  );
  assert.ok(!files.some((name) => name.includes('template.cpython')));

  const node = jsonOf<{ bulk: string; cached: number }>(await invoke(platform, 'node'));
  assert.equal(node.bulk, 'node');
  assert.ok(node.cached >= 1, 'the compile cache is the one that was prepared');
  assert.deepEqual(jsonOf(await invoke(platform, 'python')), { bulk: 'python', cached: true });

  await platform.stop();
  const cache = files.find((name) => /\/cache\/[^/]+\/[^/]+$/u.test(name));
  assert.ok(cache !== undefined);
  await appendFile(join(dataDir, 'prepared', cache), 'damage');
  const again = await startPlatform(t, { dataDir, ...ONE_BY_ONE });
  const isMended = async (): Promise<boolean> => {
    const names = await isReady();
    const bytes = names && (await readFile(join(dataDir, 'prepared', cache)).catch(() => undefined));
    return Buffer.isBuffer(bytes) && !bytes.toString('latin1').endsWith('damage');
  };
  await waitFor('both to be whole again', isMended, 60_000);
  assert.equal(jsonOf<{ bulk: string }>(await invoke(again, 'node')).bulk, 'node');
  assert.equal(jsonOf<{ bulk: string }>(await invoke(again, 'python')).bulk, 'python');
});

test('code that cannot be loaded is told of before its first call', async (t) => {
  const dataDir = await temporaryDirectory(t, 'thaw prepared ');
  const platform = await platformWithSandboxes(t, dataDir);
  if (platform === undefined) return;
  await createFunction(platform, 'broken', {
    code: { ...NODE, 'index.js': "require('./bulk.js'); require('absent');" },
  });
  const said = await waitFor(
    'the log to say so',
    async () => {
      const { stdout } = await platform.thaw(['logs', 'broken']);
      return stdout.toString().includes('cannot be loaded') && stdout.toString();
    },
    60_000,
  );
  assert.match(said, /Cannot find module 'absent'/u);
});
