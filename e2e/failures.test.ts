import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import type { ErrorCode } from '@thaw/protocol/error-code.ts';
import { startPlatform, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { processesOf } from './fixtures/host-traces.ts';
import { missingLimit } from './fixtures/requirements.ts';
import {
  API,
  createFunction,
  createHttpTrigger,
  functionErrorOf,
  invoke,
  type Language,
} from './support/functions.ts';
import { jsonOf, send } from './support/http-call.ts';
import { signedCall } from './support/signed-call.ts';

/** What a handler does when it is told the word `fail`; told anything else, it answers `fine`. */
interface Failure {
  readonly name: string;
  readonly language: Language;
  /** The whole source, or only what a handler does on `fail`. */
  readonly source?: string;
  readonly onFail?: string;
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly errorType: string;
  readonly message: RegExp;
  /** Of the invocation's record, where it says whose fault it was. */
  readonly code: ErrorCode;
  /** Of `x-fc-error-type`. */
  readonly kind?: 'HandledInvocationError' | 'UnhandledInvocationError' | 'InitializationError';
  /** Whether the same instance may serve on. */
  readonly keepsInstance?: boolean;
  /** The code itself is broken: no request can work. */
  readonly neverWorks?: boolean;
  /** Also told by an HTTP trigger; always, where that costs no further instance. */
  readonly onTrigger?: boolean;
}

const node = (name: string, failure: Omit<Failure, 'name' | 'language'>): Failure => ({
  name: `node-${name}`,
  language: 'nodejs',
  ...failure,
});
const python = (name: string, failure: Omit<Failure, 'name' | 'language'>): Failure => ({
  name: `python-${name}`,
  language: 'python',
  ...failure,
});

const SHORT = { timeout: 1 };
const timedOut = {
  errorType: 'FunctionTimedOut',
  message: /^function '[a-z-]+' timed out after 1 seconds$/,
  code: 'FUNCTION_TIMED_OUT',
  fields: SHORT,
} as const;
const outOfMemory = {
  errorType: 'OutOfMemory',
  message: /^function '[a-z-]+' ran out of its 128 MB of memory while it handled a request$/,
  code: 'FUNCTION_OUT_OF_MEMORY',
} as const;
const ended = (how: string, code: ErrorCode = 'FUNCTION_EXITED', when = 'it handled a request') =>
  ({
    errorType: 'ProcessExited',
    message: new RegExp(`^function '[a-z0-9-]+' ${how} while ${when}$`),
    code,
  }) as const;
const ENDED_AT_LOAD = ended('exited with code 4', 'CODE_NOT_LOADED', 'its code was loaded');

const FAILURES: readonly Failure[] = [
  node('timeout', { onFail: 'await new Promise((resolve) => setTimeout(resolve, 60_000));', ...timedOut }),
  python('timeout', {
    onTrigger: true,
    onFail: 'import time; time.sleep(60)',
    ...timedOut,
  }),
  node('endless-loop', { onFail: 'while (1);', ...timedOut }),
  python('endless-loop', { onFail: 'while True: pass', ...timedOut }),
  node('abort', {
    onFail: 'process.abort();',
    ...ended('was ended by SIGABRT'),
  }),
  python('abort', {
    onFail: 'import os; os.abort()',
    ...ended('was ended by SIGABRT'),
  }),
  node('kills-itself', {
    onFail: "process.kill(process.pid, 'SIGKILL'); await new Promise(() => setInterval(() => {}, 1000));",
    ...ended('was ended by SIGKILL'),
  }),
  node('exit-0', {
    onFail: 'process.exit(0);',
    ...ended('exited with code 0'),
  }),
  node('exit-3', {
    onTrigger: true,
    onFail: 'process.exit(3);',
    ...ended('exited with code 3'),
  }),
  python('os-exit-3', {
    onFail: 'import os; os._exit(3)',
    ...ended('exited with code 3'),
  }),
  node('unhandled-rejection', {
    onFail: "Promise.reject(new RangeError('nobody caught it')); await new Promise(() => {});",
    errorType: 'RangeError',
    message: /nobody caught it/,
    code: 'HANDLER_THREW',
  }),
  node('uncaught-exception', {
    onFail: "setImmediate(() => { throw new RangeError('nobody caught it'); }); await new Promise(() => {});",
    errorType: 'RangeError',
    message: /nobody caught it/,
    code: 'HANDLER_THREW',
  }),
  node('out-of-memory-heap', {
    onFail: 'const all = []; for (;;) all.push(new Array(100_000).fill(Math.random()));',
    ...outOfMemory,
  }),
  node('out-of-memory-buffers', {
    onTrigger: true,
    onFail: 'const all = []; for (;;) all.push(Buffer.alloc(8 << 20, 1));',
    ...outOfMemory,
  }),
  python('out-of-memory', {
    onFail: "kept = []\n        while True: kept.append(b'x' * (8 << 20))",
    ...outOfMemory,
  }),
  python('sys-exit', {
    onFail: 'import sys; sys.exit(3)',
    errorType: 'SystemExit',
    message: /3/,
    code: 'HANDLER_THREW',
  }),
  node('throws', {
    onFail: "throw new TypeError('no such picture');",
    errorType: 'TypeError',
    message: /^no such picture$/,
    code: 'HANDLER_THREW',
    keepsInstance: true,
  }),
  python('throws', {
    onFail: "raise ValueError('no such picture')",
    errorType: 'ValueError',
    message: /^no such picture$/,
    code: 'HANDLER_THREW',
    keepsInstance: true,
  }),
  node('throws-text', {
    onFail: "throw 'just a text';",
    errorType: 'string',
    message: /^just a text$/,
    code: 'HANDLER_THREW',
    keepsInstance: true,
  }),
  node('callback-error', {
    source: `exports.handler = (event, context, callback) => {
      if (String(event).includes('fail')) callback(new RangeError('too far'));
      else callback(null, 'fine');
    };`,
    errorType: 'RangeError',
    message: /^too far$/,
    code: 'HANDLER_THREW',
    kind: 'HandledInvocationError',
    keepsInstance: true,
  }),
  node('circular-result', {
    onFail: 'const result = {}; result.self = result; return result;',
    errorType: 'TypeError',
    message: /circular/i,
    code: 'HANDLER_THREW',
    keepsInstance: true,
  }),
  node('bigint-result', {
    onFail: 'return { count: 1n };',
    errorType: 'TypeError',
    message: /BigInt/,
    code: 'HANDLER_THREW',
    keepsInstance: true,
  }),
  python('set-result', {
    onFail: 'return {1, 2}',
    errorType: 'TypeError',
    message: /set is not JSON serializable/,
    code: 'HANDLER_THREW',
    keepsInstance: true,
  }),
  node('syntax-error', {
    onTrigger: true,
    source: 'exports.handler = async () => {',
    errorType: 'SyntaxError',
    message: /Unexpected end of input/,
    code: 'CODE_NOT_LOADED',
    neverWorks: true,
  }),
  python('syntax-error', {
    source: 'def handler(event, context)\n    return 1\n',
    errorType: 'SyntaxError',
    message: /expected ':'/,
    code: 'CODE_NOT_LOADED',
    neverWorks: true,
  }),
  node('missing-dependency', {
    source: "require('left-pad-of-nobody'); exports.handler = async () => 1;",
    errorType: 'Error',
    message: /Cannot find module 'left-pad-of-nobody'/,
    code: 'CODE_NOT_LOADED',
    neverWorks: true,
  }),
  python('missing-dependency', {
    source: 'import left_pad_of_nobody\ndef handler(event, context): return 1\n',
    errorType: 'ModuleNotFoundError',
    message: /left_pad_of_nobody/,
    code: 'CODE_NOT_LOADED',
    neverWorks: true,
  }),
  node('missing-handler', {
    source: 'exports.other = async () => 1;',
    errorType: 'HandlerNotFound',
    message: /handler/,
    code: 'HANDLER_NOT_FOUND',
    neverWorks: true,
  }),
  python('missing-handler', {
    source: 'def other(event, context): return 1\n',
    errorType: 'HandlerNotFound',
    message: /handler/,
    code: 'HANDLER_NOT_FOUND',
    neverWorks: true,
  }),
  node('missing-file', {
    onFail: '',
    fields: { handler: 'elsewhere.handler' },
    errorType: 'ModuleNotFound',
    message: /elsewhere/,
    code: 'CODE_NOT_LOADED',
    neverWorks: true,
  }),
  python('missing-file', {
    onFail: 'pass',
    fields: { handler: 'elsewhere.handler' },
    errorType: 'ModuleNotFound',
    message: /elsewhere/,
    code: 'CODE_NOT_LOADED',
    neverWorks: true,
  }),
  node('throws-at-load', {
    source: "throw new EvalError('not today');",
    errorType: 'EvalError',
    message: /not today/,
    code: 'CODE_NOT_LOADED',
    neverWorks: true,
  }),
  node('exits-at-load', {
    source: 'process.exit(4);',
    ...ENDED_AT_LOAD,
    neverWorks: true,
  }),
  python('exits-at-load', {
    source: 'import os\nos._exit(4)\n',
    ...ENDED_AT_LOAD,
    neverWorks: true,
  }),
];

function sourceOf({ language, source, onFail = '' }: Failure): string {
  if (source !== undefined) return source;
  if (language === 'nodejs') {
    return `exports.handler = async (event) => {
      if (String(event).includes('fail')) { ${onFail} }
      return 'fine';
    };`;
  }
  return `def handler(event, context):
    if b'fail' in event:
        ${onFail}
    return 'fine'
`;
}

/** Fails a function on both doors and asks it again. */
async function checkFailure(platform: Platform, failure: Failure): Promise<void> {
  const { name, errorType, message, kind = 'UnhandledInvocationError' } = failure;
  await createFunction(platform, name, {
    language: failure.language,
    code: sourceOf(failure),
    ...(failure.fields === undefined ? {} : { fields: failure.fields }),
  });
  const before = failure.neverWorks === true ? undefined : await invoke(platform, name, 'work');

  const failed = await invoke(platform, name, 'fail');
  assert.equal(failed.status, 200, failed.body.toString());
  assert.equal(failed.headers['x-fc-error-type'], kind);
  assert.match(String(failed.headers['x-fc-request-id']), /^1-/);
  const told = functionErrorOf(failed);
  assert.equal(told.errorType, errorType, JSON.stringify(told));
  assert.match(told.errorMessage, message);
  assert.ok(Array.isArray(told.stackTrace));
  const record = await recordOf(platform, String(failed.headers['x-fc-request-id']));
  assert.deepEqual(
    [record.functionName, record.status, record.errorCode, record.errorType],
    [name, 'failed', failure.code, errorType],
  );

  if (before !== undefined) {
    assert.equal(before.body.toString(), 'fine');
    const after = await invoke(platform, name, 'work');
    assert.deepEqual([after.status, after.body.toString()], [200, 'fine']);
    const isSame = after.headers['x-fc-instance-id'] === before.headers['x-fc-instance-id'];
    assert.equal(isSame, failure.keepsInstance ?? false, 'the instance after the failure');
  }

  if (failure.keepsInstance !== true && failure.onTrigger !== true) return;
  await createHttpTrigger(platform, name);
  const onTrigger = await send(platform.url, { method: 'POST', path: `/http/${name}/web/`, body: 'fail' });
  assert.equal(onTrigger.status, 502, onTrigger.body.toString());
  assert.equal(onTrigger.headers['x-fc-error-type'], kind);
  assert.deepEqual(functionErrorOf(onTrigger).errorType, errorType);
  if (before !== undefined) {
    const after = await send(platform.url, { method: 'POST', path: `/http/${name}/web/`, body: 'work' });
    assert.deepEqual([after.status, after.body.toString()], [200, 'fine']);
  }
}

interface InvocationRecord {
  readonly functionName: string;
  readonly status: string;
  readonly errorCode?: string;
  readonly errorType?: string;
}

/** Records are written in batches, a moment after the answer. */
function recordOf(platform: Platform, requestId: string): Promise<InvocationRecord> {
  return waitFor(`the record of ${requestId}`, async () => {
    const answer = await signedCall(platform, { method: 'GET', path: `/thaw/v1/invocations/${requestId}` });
    return answer.status === 200 && jsonOf<InvocationRecord>(answer);
  });
}

interface HostProcess {
  readonly pid: number;
  readonly parent: number;
  readonly state: string;
  readonly command: string;
}

/** Every process below the platform, as the host sees them. */
function descendants(root: number): HostProcess[] {
  const all = readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .flatMap((name): HostProcess[] => {
      try {
        // The command's name stands in brackets and may hold anything.
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        const [state = '', parent = ''] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ');
        return [{ pid: Number(name), parent: Number(parent), state, command }];
      } catch {
        return [];
      }
    });
  const found: HostProcess[] = [];
  let parents = new Set([root]);
  while (parents.size > 0) {
    const children = all.filter((process) => parents.has(process.parent));
    found.push(...children);
    parents = new Set(children.map((process) => process.pid));
  }
  return found;
}

/** The process that runs a function's code is named after it. */
function runtimeProcess(platform: Platform, functionName: string): HostProcess | undefined {
  return descendants(platform.pid).find(({ command }) => command.trim() === `thaw ${functionName}`);
}

const CASES_AT_ONCE = 4;

/** The heap of JavaScript has a bound of its own; all other memory has the cgroup's alone. */
function needsMemoryLimit({ code, name }: Failure): boolean {
  return code === 'FUNCTION_OUT_OF_MEMORY' && name !== 'node-out-of-memory-heap';
}

test('every way in which code fails has its own error, and the next request works', async (t) => {
  const platform = await startPlatform(t);
  const waiting = FAILURES.values();
  const worker = async (): Promise<void> => {
    for (const failure of waiting) {
      await t.test(failure.name, async (one) => {
        const unlimited = needsMemoryLimit(failure) ? await missingLimit(platform, 'memory') : undefined;
        if (unlimited === undefined) await checkFailure(platform, failure);
        else one.skip(unlimited);
      });
    }
  };
  await Promise.all(Array.from({ length: CASES_AT_ONCE }, worker));
  assert.deepEqual(
    descendants(platform.pid).filter(({ state }) => state === 'Z'),
    [],
    'zombies',
  );
});

test('what a handler threw is told with its stack', async (t) => {
  const platform = await startPlatform(t);
  await createFunction(platform, 'in-node', {
    code: `function develop() { throw new TypeError('blurred'); }
      exports.handler = async () => develop();`,
  });
  const inNode = functionErrorOf(await invoke(platform, 'in-node'));
  assert.deepEqual([inNode.errorType, inNode.errorMessage], ['TypeError', 'blurred']);
  assert.match(String(inNode.stackTrace[0]), /TypeError: blurred/);
  assert.match(String(inNode.stackTrace[1]), /develop .*index\.js:1/);

  await createFunction(platform, 'in-python', {
    language: 'python',
    code: `def develop():\n    raise ValueError('blurred')\n\ndef handler(event, context):\n    develop()\n`,
  });
  const inPython = functionErrorOf(await invoke(platform, 'in-python'));
  assert.deepEqual([inPython.errorType, inPython.errorMessage], ['ValueError', 'blurred']);
  assert.deepEqual(inPython.stackTrace.at(-1), [
    '/code/index.py',
    2,
    'develop',
    "raise ValueError('blurred')",
  ]);
});

test('an instance that is killed from outside fails its request alone', async (t) => {
  const platform = await startPlatform(t);
  await createFunction(platform, 'victim', {
    code: `exports.handler = async (event) => {
      if (String(event) !== 'stay') return 'fine';
      console.log('staying');
      await new Promise((resolve) => setTimeout(resolve, 60_000));
    };`,
    fields: { timeout: 60 },
  });
  const before = await invoke(platform, 'victim');
  const pending = invoke(platform, 'victim', 'stay');
  await waitFor('the handler to run', async () => {
    const log = await signedCall(platform, { method: 'GET', path: '/thaw/v1/functions/victim/logs' });
    return log.body.toString().includes('staying');
  });
  const killed = killRuntime(platform, 'victim');
  const answer = await pending;
  assert.deepEqual(
    [answer.status, answer.headers['x-fc-error-type']],
    [200, 'UnhandledInvocationError'],
    answer.body.toString(),
  );
  assert.deepEqual(functionErrorOf(answer), {
    errorType: 'ProcessExited',
    errorMessage: "function 'victim' was ended by SIGKILL while it handled a request",
    stackTrace: [],
  });
  const after = await invoke(platform, 'victim');
  assert.equal(after.body.toString(), 'fine');
  assert.notEqual(after.headers['x-fc-instance-id'], before.headers['x-fc-instance-id']);
  await isBuried(platform, killed);

  // One that is killed while it idles is nobody's failure.
  await isBuried(platform, killRuntime(platform, 'victim'));
  const last = await invoke(platform, 'victim');
  assert.equal(last.body.toString(), 'fine');
  assert.notEqual(last.headers['x-fc-instance-id'], after.headers['x-fc-instance-id']);
});

function killRuntime(platform: Platform, functionName: string): number {
  const runtime = runtimeProcess(platform, functionName);
  assert.ok(runtime !== undefined, 'the runtime is seen on the host');
  process.kill(runtime.pid, 'SIGKILL');
  return runtime.pid;
}

/** Nothing of its sandbox is left, and the platform knows that it is gone. */
async function isBuried(platform: Platform, dead: number): Promise<void> {
  await waitFor('the dead to be buried', async () => {
    const path = `${API}/functions/victim/instances`;
    const listed = await signedCall(platform, { method: 'GET', path });
    const { instances } = jsonOf<{ instances: unknown[] }>(listed);
    const left = descendants(platform.pid);
    return (
      left.every(({ pid, state }) => pid !== dead && state !== 'Z') &&
      left.filter(({ command }) => command.trim() === 'thaw victim').length >= instances.length
    );
  });
}

for (const [language, code] of [
  [
    'python',
    `import os
def handler(event, context):
    if event == b'work':
        return 'fine'
    while True:
        os.fork()
`,
  ],
  [
    'nodejs',
    `const { spawn } = require('node:child_process');
exports.handler = async (event) => {
  if (String(event) === 'work') return 'fine';
  for (;;) {
    spawn('/bin/sh', ['-c', 'f() { f | f & }; f']).on('error', () => {});
    await new Promise(setImmediate);
  }
};`,
  ],
] as const) {
  test(`a fork bomb in ${language} goes off inside its sandbox only`, async (t) => {
    const platform = await startPlatform(t);
    await createFunction(platform, 'bomb', { language, code, fields: { timeout: 3 } });
    await createFunction(platform, 'neighbour', { code: "exports.handler = async () => 'fine';" });
    const pending = invoke(platform, 'bomb', 'go');
    assert.equal((await invoke(platform, 'neighbour')).body.toString(), 'fine');
    const answer = await pending;
    assert.equal(answer.status, 200, answer.body.toString());
    assert.equal(answer.headers['x-fc-error-type'], 'UnhandledInvocationError');
    assert.equal((await invoke(platform, 'bomb', 'work')).body.toString(), 'fine');
    await signedCall(platform, { method: 'DELETE', path: `${API}/functions/bomb` });
    const bomb = String(answer.headers['x-fc-instance-id']);
    await waitFor('what the bomb left to be gone', async () => {
      const hasLeft = (await processesOf(bomb)).length > 0;
      return !hasLeft && descendants(platform.pid).every(({ state }) => state !== 'Z');
    });
  });
}

test("an answer that HTTP does not allow is the function's failure", async (t) => {
  const platform = await startPlatform(t);
  const refused = async (name: string, errorType: string, message: RegExp): Promise<void> => {
    const answer = await send(platform.url, { path: `/http/${name}/web/` });
    assert.equal(answer.status, 502, answer.body.toString());
    assert.equal(answer.headers['x-fc-error-type'], 'UnhandledInvocationError');
    const told = functionErrorOf(answer);
    assert.equal(told.errorType, errorType, told.errorMessage);
    assert.match(told.errorMessage, message);
    const good = await send(platform.url, { path: `/http/${name}/web/good` });
    assert.deepEqual([good.status, good.body.toString()], [200, 'fine']);
  };
  const objects: Record<string, [object, RegExp]> = {
    'bad-value': [{ statusCode: 200, headers: { 'X-A': 'a\r\nX-Injected: 1' } }, /'bad-value' .*header/],
    'bad-name': [{ statusCode: 200, headers: { 'X A': 'a' } }, /'bad-name' .*header/],
    'bad-status': [{ statusCode: 'many' }, /'bad-status' .*statusCode/],
    'low-status': [{ statusCode: 101 }, /'low-status' .*statusCode/],
    'huge-status': [{ statusCode: 4000 }, /'huge-status' .*statusCode/],
  };
  for (const [name, [object, message]] of Object.entries(objects)) {
    await createFunction(platform, name, {
      code: `exports.handler = async (event) =>
        JSON.parse(event).rawPath === '/good' ? 'fine' : ${JSON.stringify(object)};`,
    });
    await createHttpTrigger(platform, name);
    await refused(name, 'RESPONSE_INVALID', message);
  }
  await createFunction(platform, 'too-large', {
    code: `exports.handler = async (event) =>
      JSON.parse(event).rawPath === '/good' ? 'fine' : { statusCode: 200, body: 'x'.repeat(33 << 20) };`,
    fields: { memorySize: 512 },
  });
  await createHttpTrigger(platform, 'too-large');
  await refused('too-large', 'RESPONSE_TOO_LARGE', /'too-large' returned more than the 32 MB/);

  await createFunction(platform, 'node-header', {
    code: `exports.handler = (req, resp) => {
      if (req.url === '/good') resp.end('fine');
      else { resp.setHeader('X-A', 'a\\r\\nX-Injected: 1'); resp.end('never'); }
    };`,
  });
  await createHttpTrigger(platform, 'node-header');
  await refused('node-header', 'TypeError', /header/i);

  await createFunction(platform, 'wsgi-header', {
    language: 'python',
    code: `def handler(environ, start_response):
    good = environ['PATH_INFO'] == '/good'
    start_response('200 OK', [] if good else [('X-A', 'a\\r\\nX-Injected: 1')])
    return [b'fine']
`,
  });
  await createHttpTrigger(platform, 'wsgi-header');
  const answer = await send(platform.url, { path: '/http/wsgi-header/web/' });
  assert.equal(answer.status, 502);
  assert.equal(answer.headers['x-injected'], undefined);
  const good = await send(platform.url, { path: '/http/wsgi-header/web/good' });
  assert.deepEqual([good.status, good.body.toString()], [200, 'fine']);
});
