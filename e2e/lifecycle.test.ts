import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from '@alicloud/fc20230330';
import { fcClient, startPlatform, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { zip } from '@thaw/testkit/zip.ts';
import { metric, readMetrics } from './fixtures/metrics.ts';
import { createFunction, invoke, LANGUAGES, type Language } from './support/functions.ts';
import { jsonOf } from './support/http-call.ts';

const BOTH = Object.keys(LANGUAGES).filter((name): name is Language => name in LANGUAGES);

function untilState(platform: Platform, functionName: string, state: string): Promise<true> {
  return waitFor(`an instance of ${functionName} that is ${state}`, async () => {
    const found = metric(await readMetrics(platform), 'thaw_instances', { function: functionName, state });
    return found > 0 ? true : undefined;
  });
}

async function logOf(platform: Platform, functionName: string): Promise<string> {
  const { stdout } = await platform.thaw(['logs', functionName, '--limit', '1000']);
  return stdout.toString('utf8');
}

/** Counts in the background, so that a freeze is seen from outside by what the count misses. */
const TICKING: Record<Language, string> = {
  nodejs: `
    let ticks = 0;
    setInterval(() => { ticks += 1; }, 5);
    exports.handler = async () => ({ ticks, at: Date.now() });`,
  python: `
import json, threading, time
ticks = 0
def tick():
    global ticks
    while True:
        time.sleep(0.005)
        ticks += 1
threading.Thread(target=tick, daemon=True).start()
def handler(event, context):
    return json.dumps({'ticks': ticks, 'at': int(time.time() * 1000)})`,
};

for (const language of BOTH) {
  test(`an idle ${language} instance gets no CPU and serves on when it is called again`, async (t) => {
    const platform = await startPlatform(t);
    const name = await createFunction(platform, `ticking-${language}`, { language, code: TICKING[language] });
    const first = await invoke(platform, name);
    await untilState(platform, name, 'frozen');
    // The freeze has happened; from here on not one tick may pass. The wait is another function's work, not a sleep.
    const busy = await createFunction(platform, 'busy', {
      code: `exports.handler = () => { const end = Date.now() + 500; while (Date.now() < end); return ''; };`,
    });
    await invoke(platform, busy);
    const second = await invoke(platform, name);
    assert.equal(second.headers['x-fc-instance-id'], first.headers['x-fc-instance-id']);
    const [before, after] = [first, second].map((answer) => jsonOf<{ ticks: number; at: number }>(answer));
    assert.ok(before !== undefined && after !== undefined);
    const awakeMs = (after.ticks - before.ticks) * 5;
    assert.ok(awakeMs < after.at - before.at - 400, `${awakeMs} ms of ticks in ${after.at - before.at} ms`);
    assert.match(String(second.headers['server-timing']), /\bthaw;dur=/);
  });
}

const HOOKED: Record<Language, string> = {
  nodejs: `
    exports.handler = async () => { console.log('called'); return 'ok'; };
    exports.preFreeze = async () => { console.log('before the freeze'); };
    exports.postThaw = async () => { console.log('after the thaw'); };
    exports.preStop = async () => { console.log('before the stop'); };`,
  python: `
def handler(event, context):
    print('called')
    return 'ok'
def preFreeze(context):
    print('before the freeze')
def postThaw(context):
    print('after the thaw')
def preStop(context):
    print('before the stop')`,
};

const ALL_HOOKS = Object.fromEntries(
  ['preFreeze', 'postThaw', 'preStop'].map((hook) => [hook, { handler: `index.${hook}`, timeout: 10 }]),
);

for (const language of BOTH) {
  test(`${language}: hooks run where they belong, and only those that are configured`, async (t) => {
    const platform = await startPlatform(t);
    const code = HOOKED[language];
    const hooked = await createFunction(platform, 'hooked', {
      language,
      code,
      fields: { instanceLifecycleConfig: ALL_HOOKS },
    });
    const plain = await createFunction(platform, 'plain', { language, code });
    const first = await invoke(platform, hooked);
    await untilState(platform, hooked, 'frozen');
    await invoke(platform, hooked);
    await untilState(platform, hooked, 'frozen');
    await invoke(platform, plain);
    await untilState(platform, plain, 'frozen');
    await createFunctionAgain(platform, plain, code, language);
    await untilState(platform, plain, 'frozen');
    assert.doesNotMatch(await logOf(platform, plain), /before the|after the/);

    const requestId = String(first.headers['x-fc-request-id']);
    const record = await platform.thaw(['invocation', 'get', requestId, '--json']);
    const { timeline } = JSON.parse(record.stdout.toString('utf8'));
    assert.equal(typeof timeline.preFreeze, 'number');

    const log = await logOf(platform, hooked);
    const said = ['called', 'before the freeze', 'after the thaw', 'called', 'before the freeze'];
    assert.deepEqual([...log.matchAll(/called|before the freeze|after the thaw/g)].map(String), said);

    // An update retires the instance; it is frozen, so it is thawed for its last hook.
    await createFunctionAgain(platform, hooked, code, language);
    await waitFor('the hook before the stop', async () =>
      (await logOf(platform, hooked)).includes('before the stop'),
    );
  });
}

/** New code for a function: the next call retires the instances of the old. */
async function createFunctionAgain(
  platform: Platform,
  name: string,
  code: string,
  language: Language,
): Promise<void> {
  const zipFile = (await zip({ [LANGUAGES[language].file]: `${code}\n` })).toString('base64');
  const body = new fc.UpdateFunctionInput({ code: new fc.InputCodeLocation({ zipFile }) });
  await fcClient(platform).updateFunction(name, new fc.UpdateFunctionRequest({ body }));
  await invoke(platform, name);
}

test('a hook that fails or does not end holds nothing up', async (t) => {
  const platform = await startPlatform(t);
  const name = await createFunction(platform, 'bad-hooks', {
    code: `
      exports.handler = async () => 'ok';
      exports.preFreeze = async () => { throw new Error('no, not now'); };
      exports.postThaw = () => new Promise(() => {});`,
    fields: {
      instanceLifecycleConfig: {
        preFreeze: { handler: 'index.preFreeze', timeout: 5 },
        postThaw: { handler: 'index.postThaw', timeout: 1 },
      },
    },
  });
  for (let call = 0; call < 2; call += 1) {
    const answer = await invoke(platform, name);
    assert.equal(answer.body.toString(), 'ok');
    await untilState(platform, name, 'frozen');
  }
  const log = await logOf(platform, name);
  assert.match(log, /the preFreeze hook failed: Error: no, not now/);
  assert.match(log, /the postThaw hook failed: it did not end within 1 seconds/);
  const metrics = await readMetrics(platform);
  assert.equal(
    metric(metrics, 'thaw_hooks_total', { function: name, hook: 'preFreeze', outcome: 'failed' }),
    2,
  );
});

test('a request that comes during the hook before the freeze is served when it ends', async (t) => {
  const platform = await startPlatform(t);
  const name = await createFunction(platform, 'slow-hook', {
    code: `
      exports.handler = async () => 'ok';
      exports.preFreeze = () => new Promise((resolve) => setTimeout(resolve, 700));`,
    fields: { instanceLifecycleConfig: { preFreeze: { handler: 'index.preFreeze', timeout: 5 } } },
  });
  await invoke(platform, name);
  await untilState(platform, name, 'preFreezing');
  const answer = await invoke(platform, name);
  assert.equal(answer.body.toString(), 'ok');
});

test('THAW_FREEZE_AFTER_MS=never keeps an instance awake', async (t) => {
  const platform = await startPlatform(t);
  const name = await createFunction(platform, 'awake', {
    code: `let ticks = 0; setInterval(() => { ticks += 1; }, 5); exports.handler = async () => String(ticks);`,
    fields: { environmentVariables: { THAW_FREEZE_AFTER_MS: 'never' } },
  });
  await invoke(platform, name);
  await waitFor('the count to go on without calls in between', async () => {
    const answer = await invoke(platform, name);
    return Number(answer.body.toString()) > 100;
  });
  assert.equal(metric(await readMetrics(platform), 'thaw_instances', { function: name, state: 'frozen' }), 0);
});

const CYCLES = 200;

test(`a keep-alive connection inside the function lives through ${CYCLES} freezes`, async (t) => {
  // A sandbox has no way to servers of this machine, so the function brings its own.
  const platform = await startPlatform(t);
  const name = await createFunction(platform, 'keeps-alive', {
    code: `
      const http = require('node:http');
      const server = http.createServer({ keepAliveTimeout: 60_000 }, (req, res) => res.end('pong'));
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
      let connections = 0;
      server.on('connection', () => { connections += 1; });
      exports.initializer = (context, callback) => server.listen(7000, '127.0.0.1', () => callback());
      exports.handler = (event, context, callback) => {
        http.get({ port: 7000, agent }, (res) => {
          res.resume();
          res.on('end', () => callback(null, String(connections)));
        }).on('error', callback);
      };`,
    fields: {
      instanceLifecycleConfig: { initializer: { handler: 'index.initializer', timeout: 10 } },
      environmentVariables: { THAW_FREEZE_AFTER_MS: '0' },
    },
  });
  const instances = new Set<string>();
  for (let cycle = 0; cycle < CYCLES; cycle += 1) {
    const answer = await invoke(platform, name);
    assert.equal(answer.headers['x-fc-error-type'], undefined, answer.body.toString());
    assert.equal(answer.body.toString(), '1');
    instances.add(String(answer.headers['x-fc-instance-id']));
    await untilState(platform, name, 'frozen');
  }
  assert.equal(instances.size, 1);
});
