import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { startPlatform, type Platform, type PlatformOptions } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { createFunction, invoke, LANGUAGES, type Language } from './support/functions.ts';
import { jsonOf } from './support/http-call.ts';
import { signedCall } from './support/signed-call.ts';

interface StemStatus {
  readonly loaded: number;
  readonly unavailable?: string;
}

/** Says when it was loaded, and whether its initializer had run before. */
const BIRTH: Record<Language, string> = {
  nodejs: `const born = Date.now();
    console.log('loading');
    let initialized = 0;
    exports.initialize = async () => { initialized = Date.now(); };
    exports.handler = async () => ({ born, initialized, pid: process.pid, instance: process.env.FC_INSTANCE_ID });`,
  python: `import json, os, time
born = time.time() * 1000
print('loading')
initialized = 0
def initialize(context):
    global initialized
    initialized = time.time() * 1000
def handler(event, context):
    return json.dumps({'born': born, 'initialized': initialized, 'pid': os.getpid(), 'instance': os.environ['FC_INSTANCE_ID']})`,
};
const INITIALIZER = {
  instanceLifecycleConfig: { initializer: { handler: 'index.initialize', timeout: 10 } },
};
const BOTH = Object.keys(LANGUAGES).filter((name): name is Language => name in LANGUAGES);
const TRIES_MAX = 5;

interface Birth {
  readonly born: number;
  readonly initialized: number;
  readonly instance: string;
}

async function stemsOf(platform: Platform): Promise<StemStatus> {
  return jsonOf<{ stems: StemStatus }>(await signedCall(platform, { method: 'GET', path: '/thaw/v1/info' }))
    .stems;
}

async function logOf(platform: Platform, functionName: string): Promise<string> {
  const path = `/thaw/v1/functions/${functionName}/logs`;
  return (await signedCall(platform, { method: 'GET', path })).body.toString();
}

/** Undefined, and the test skipped, where this machine has no stems. */
async function startLoading(t: TestContext, options: PlatformOptions = {}): Promise<Platform | undefined> {
  const platform = await startPlatform(t, { stems: 2, needs: ['load-ahead'], ...options });
  const { unavailable } = await stemsOf(platform);
  if (unavailable === undefined) return platform;
  t.skip(unavailable);
  return undefined;
}

for (const language of BOTH) {
  test(`${language}: the first call finds the code loaded and the initializer not run`, async (t) => {
    const platform = await startLoading(t);
    if (platform === undefined) return;
    // A stem that dies on a machine with too much to do costs time and not the call.
    for (let attempt = 1; ; attempt += 1) {
      const spec = { code: BIRTH[language], language, fields: INITIALIZER };
      const functionName = await createFunction(platform, `born-${attempt}`, spec);
      await waitFor('the loaded code', async () => (await stemsOf(platform)).loaded === 1);
      const calledMs = Date.now();
      const answer = await invoke(platform, functionName, '');
      assert.equal(answer.status, 200, answer.body.toString());
      const birth = jsonOf<Birth>(answer);
      assert.equal(birth.instance, String(answer.headers['x-fc-instance-id']));
      assert.ok(birth.initialized >= calledMs, 'the initializer ran before the call');
      const log = await waitFor('the start in the log', async () => {
        const text = await logOf(platform, functionName);
        return text.includes('timeline: ') ? text : undefined;
      });
      assert.match(log, /loading/);
      if (birth.born < calledMs && log.includes('with its code loaded')) return;
      assert.ok(attempt < TRIES_MAX, log);
    }
  });
}

test('what is loaded goes with its version, and who opted out or cannot be loaded has nothing', async (t) => {
  const platform = await startLoading(t);
  if (platform === undefined) return;
  const code = BIRTH.python;
  const fields = { environmentVariables: { THAW_LOAD_AHEAD: 'off' } };
  const shy = await createFunction(platform, 'shy', { code, language: 'python', fields });
  const broken = await createFunction(platform, 'broken', {
    code: `raise KeyError('no such thing')`,
    language: 'python',
  });
  // What was deployed last has been loaded; the others would have been before.
  const bold = await createFunction(platform, 'bold', { code, language: 'python' });
  await waitFor('the loaded code', async () => (await stemsOf(platform)).loaded === 1);
  const calledMs = Date.now();
  assert.ok(jsonOf<Birth>(await invoke(platform, shy, '')).born >= calledMs);
  assert.match((await invoke(platform, broken, '')).body.toString(), /no such thing/);
  assert.equal((await stemsOf(platform)).loaded, 1);
  const path = `/2023-03-30/functions/${bold}`;
  const answer = await signedCall(platform, { method: 'DELETE', path });
  assert.equal(answer.status, 204, answer.body.toString());
  await waitFor('its end', async () => (await stemsOf(platform)).loaded === 0);
});

test('a platform may do without', async (t) => {
  const platform = await startPlatform(t, { stems: 2, arguments: ['--load-ahead', 'off'] });
  const functionName = await createFunction(platform, 'plain', { code: BIRTH.python, language: 'python' });
  assert.equal((await invoke(platform, functionName, '')).status, 200);
  assert.equal((await stemsOf(platform)).loaded, 0);
});
