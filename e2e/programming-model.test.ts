import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT, startPlatform, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import {
  createFunction,
  createHttpTrigger,
  functionErrorOf,
  invoke,
  LANGUAGES,
  logTailOf,
  type Language,
} from './support/functions.ts';
import { jsonOf, send } from './support/http-call.ts';
import { signedCall } from './support/signed-call.ts';

const BOTH = Object.keys(LANGUAGES).filter((name): name is Language => name in LANGUAGES);
const PICTURE = readFileSync(join(ROOT, 'examples/thumbnail/picture.jpg'));
const ALL_BYTES = Buffer.from(Array.from({ length: 256 }, (_, value) => value));

/** The example of the programming-model document, its indentation restored. */
const HELLO = {
  python: `import json

def handler(event, context):
    evt = json.loads(event)
    result = 'hello %s' % evt.get('name', 'world')
    return result
`,
  nodejs: `exports.handler = (event, context, callback) => {
  const evt = JSON.parse(event);
  callback(null, \`hello \${evt.name ?? 'world'}\`);
};`,
};

const instanceOf = (answer: { headers: Record<string, unknown> }): string =>
  String(answer.headers['x-fc-instance-id']);

for (const language of BOTH) {
  test(`${language}: events and results are bytes, untouched`, async (t) => {
    const platform = await startPlatform(t);
    await createFunction(platform, 'hello', { language, code: HELLO[language] });
    assert.equal((await invoke(platform, 'hello', '{"name":"Thaw"}')).body.toString(), 'hello Thaw');
    assert.equal((await invoke(platform, 'hello', '{}')).body.toString(), 'hello world');

    const echo = {
      nodejs: `exports.handler = async (event) => { if (!Buffer.isBuffer(event)) throw new Error('no Buffer'); return event; };`,
      python: `def handler(event, context):\n    assert type(event) is bytes\n    return event\n`,
    };
    await createFunction(platform, 'echo', { language, code: echo[language] });
    const protobufLike = Buffer.from('089601120774657374696e671a0300ff80', 'hex');
    for (const bytes of [protobufLike, ALL_BYTES, PICTURE, Buffer.from('{"a":1}\r\n'), Buffer.alloc(0)]) {
      const answer = await invoke(platform, 'echo', bytes);
      assert.ok(answer.body.equals(bytes), `${bytes.length} bytes came back changed`);
      assert.equal(answer.headers['content-type'], 'application/octet-stream');
    }
  });
}

test('every kind of result becomes the bytes that the contract says', async (t) => {
  const platform = await startPlatform(t);
  const inNode: Record<string, [string, string]> = {
    buffer: ["Buffer.from('b\\u00e9')", 'b\u00e9'],
    typed: ['new Uint8Array([104, 105])', 'hi'],
    text: ["'t\\u00e9xt'", 't\u00e9xt'],
    object: ["({ a: [1, null, 'x'] })", '{"a":[1,null,"x"]}'],
    number: ['42', '42'],
    boolean: ['false', 'false'],
    null: ['null', 'null'],
    nothing: ['undefined', ''],
  };
  const inPython: Record<string, [string, string]> = {
    bytes: ["b'b\\xc3\\xa9'", 'b\u00e9'],
    bytearray: ["bytearray(b'hi')", 'hi'],
    text: ["'t\\u00e9xt'", 't\u00e9xt'],
    dict: ["{'a': [1, None, 'x']}", '{"a": [1, null, "x"]}'],
    number: ['42', '42'],
    boolean: ['False', 'false'],
    nothing: ['None', ''],
  };
  const branchesOf = (results: typeof inNode, branch: (name: string, source: string) => string): string =>
    Object.entries(results)
      .map(([name, [source]]) => branch(name, source))
      .join('\n');
  await createFunction(platform, 'in-node', {
    code: `exports.handler = async (event) => { switch (String(event)) {
      ${branchesOf(inNode, (name, source) => `case '${name}': return ${source};`)}
    } };`,
  });
  await createFunction(platform, 'in-python', {
    language: 'python',
    code: `def handler(event, context):\n${branchesOf(inPython, (name, source) => `    if event == b'${name}': return ${source}`)}\n`,
  });
  for (const [name, [, expected]] of Object.entries(inNode)) {
    assert.equal((await invoke(platform, 'in-node', name)).body.toString(), expected, `node: ${name}`);
  }
  for (const [name, [, expected]] of Object.entries(inPython)) {
    const { body } = await invoke(platform, 'in-python', name);
    // Spaces in JSON are the language's own business.
    assert.equal(body.toString().replaceAll(' ', ''), expected.replaceAll(' ', ''), `python: ${name}`);
  }
});

const INITIALIZED = {
  nodejs: `let started = 0;
exports.initializer = (context, callback) => { started += 1; console.log('initializing'); setTimeout(callback, 20); };
exports.handler = async () => ({ started });`,
  python: `started = 0
def initializer(context):
    global started
    started += 1
    print('initializing')
def handler(event, context):
    return {'started': started}
`,
};

/** Tells by its message which instance failed. */
const FAILING_INITIALIZER = {
  nodejs: `exports.initializer = async () => { throw new RangeError('no database for ' + process.env.FC_INSTANCE_ID); };
exports.handler = async () => 'never';`,
  python: `import os
def initializer(context):
    raise RuntimeError('no database for ' + os.environ['FC_INSTANCE_ID'])
def handler(event, context):
    return 'never'
`,
};

const withInitializer = {
  instanceLifecycleConfig: { initializer: { handler: 'index.initializer', timeout: 1 } },
};

for (const language of BOTH) {
  test(`${language}: the initializer runs once per instance, and a failed one takes it away`, async (t) => {
    const platform = await startPlatform(t);
    await createFunction(platform, 'good', {
      language,
      code: INITIALIZED[language],
      fields: withInitializer,
    });
    for (let n = 0; n < 3; n += 1) {
      const answer = await invoke(platform, 'good');
      assert.deepEqual(jsonOf(answer), { started: 1 });
      assert.equal(String(answer.headers['server-timing']).includes('initializer;dur='), n === 0);
    }

    await createFunction(platform, 'bad', {
      language,
      code: FAILING_INITIALIZER[language],
      fields: withInitializer,
    });
    await createHttpTrigger(platform, 'bad');
    const errorType = language === 'nodejs' ? 'RangeError' : 'RuntimeError';
    const messages = new Set<string>();
    for (let n = 0; n < 2; n += 1) {
      const failed = await invoke(platform, 'bad');
      assert.deepEqual([failed.status, failed.headers['x-fc-error-type']], [200, 'InitializationError']);
      const told = functionErrorOf(failed);
      assert.equal(told.errorType, errorType);
      assert.match(told.errorMessage, /^no database for c-/);
      messages.add(told.errorMessage);
    }
    assert.equal(messages.size, 2, 'each invocation had a fresh instance');
    const onTrigger = await send(platform.url, { path: '/http/bad/web/' });
    assert.deepEqual([onTrigger.status, onTrigger.headers['x-fc-error-type']], [502, 'InitializationError']);
    await waitFor('its instances to be gone', async () => {
      const answer = await signedCall(platform, {
        method: 'GET',
        path: '/2023-03-30/functions/bad/instances',
      });
      return jsonOf<{ instances: unknown[] }>(answer).instances.length === 0;
    });

    const source = {
      nodejs: 'exports.initializer = () => { while (1); }; exports.handler = async () => 1;',
      python: 'def initializer(context):\n    while True: pass\ndef handler(event, context): return 1\n',
    };
    await createFunction(platform, 'slow', { language, code: source[language], fields: withInitializer });
    const slow = await invoke(platform, 'slow');
    assert.deepEqual([slow.status, slow.headers['x-fc-error-type']], [200, 'InitializationError']);
    assert.match(
      functionErrorOf(slow).errorMessage,
      /the initializer of function 'slow' timed out after 1 seconds/,
    );

    const exits = {
      nodejs: 'exports.initializer = () => process.exit(5); exports.handler = async () => 1;',
      python:
        'import os\ndef initializer(context):\n    os._exit(5)\ndef handler(event, context): return 1\n',
    };
    await createFunction(platform, 'exits', { language, code: exits[language], fields: withInitializer });
    const exited = await invoke(platform, 'exits');
    assert.equal(exited.headers['x-fc-error-type'], 'InitializationError');
    assert.match(
      functionErrorOf(exited).errorMessage,
      /'exits' exited with code 5 while its initializer ran/,
    );
  });
}

test('the context tells what FC tells, and its logger writes to the log', async (t) => {
  const platform = await startPlatform(t);
  const fields = {
    ...withInitializer,
    timeout: 7,
    memorySize: 192,
    environmentVariables: { COLOUR: 'blue', EMPTY: '' },
  };
  await createFunction(platform, 'in-node', {
    code: `let early;
exports.initializer = (context, callback) => { early = context.function.name; callback(); };
exports.handler = (event, context, callback) => {
  for (const level of ['debug', 'info', 'warn', 'error', 'log']) context.logger[level](level + ' line');
  console.log('plain line');
  console.error('error line');
  callback(null, {
    requestId: context.requestId, function: context.function, qualifier: context.service.qualifier,
    versionId: context.service.versionId, region: context.region, accountId: context.accountId,
    retryCount: context.retryCount, credentials: Object.keys(context.credentials).sort(), early,
    env: { ...process.env },
  });
};`,
    fields,
  });
  await createFunction(platform, 'in-python', {
    language: 'python',
    code: `import os, sys, logging
early = None
def initializer(context):
    global early
    early = context.function.name
def handler(event, context):
    for level in ('debug', 'info', 'warning', 'error'):
        getattr(context.logger, level)(level + ' line')
    print('plain line')
    print('error line', file=sys.stderr)
    return {
        'requestId': context.request_id,
        'function': {key: getattr(context.function, key) for key in ('name', 'handler', 'memory', 'timeout')},
        'qualifier': context.service.qualifier, 'versionId': context.service.version_id,
        'region': context.region, 'accountId': context.account_id, 'early': early,
        'env': dict(os.environ),
    }
`,
    fields,
  });
  for (const name of ['in-node', 'in-python']) {
    const answer = await invoke(platform, name, '', { headers: { 'x-fc-log-type': 'Tail' } });
    assert.equal(answer.headers['x-fc-error-type'], undefined, answer.body.toString());
    const told = jsonOf<{
      requestId: string;
      function: { name: string; handler: string; memory: number; timeout: number };
      qualifier: string;
      versionId: string;
      region: string;
      accountId: string;
      early: string;
      env: Record<string, string>;
    }>(answer);
    const requestId = String(answer.headers['x-fc-request-id']);
    assert.equal(told.requestId, requestId);
    const { name: functionName, handler, memory, timeout } = told.function;
    assert.deepEqual([functionName, handler, memory, timeout], [name, 'index.handler', 192, 7]);
    assert.deepEqual(
      [told.qualifier, told.versionId, told.region, told.accountId, told.early],
      ['LATEST', 'LATEST', 'local', '1000000000000000', name],
    );
    const { env } = told;
    assert.deepEqual([env['COLOUR'], env['EMPTY'], env['THAW_LINK']], ['blue', '', undefined]);
    assert.deepEqual(
      [
        env['FC_FUNCTION_NAME'],
        env['FC_FUNCTION_HANDLER'],
        env['FC_FUNCTION_MEMORY_SIZE'],
        env['FC_REGION'],
        env['FC_QUALIFIER'],
      ],
      [name, 'index.handler', '192', 'local', 'LATEST'],
    );
    assert.equal(env['FC_INSTANCE_ID'], instanceOf(answer));
    assert.match(env['FC_FUNC_CODE_PATH'] ?? '', /\/$/);

    const tail = logTailOf(answer);
    const lines = tail.split('\n');
    assert.equal(lines[0], `FC Invoke Start RequestId: ${requestId}`);
    assert.ok(lines.includes('plain line') && lines.includes('error line'), tail);
    for (const level of ['info', 'error']) {
      const line = new RegExp(
        `^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z ${requestId} \\[${level}\\] ${level} line$`,
        'im',
      );
      assert.match(tail, line);
    }
  }
});

test('the log of each invocation is its own', async (t) => {
  const platform = await startPlatform(t);
  for (const language of BOTH) {
    const say = {
      nodejs: 'exports.handler = async (e) => console.log(String(e));',
      python: 'def handler(event, context):\n    print(event.decode())\n',
    };
    await createFunction(platform, `says-${language}`, { language, code: say[language] });
    for (const word of ['first', 'second', 'x'.repeat(10_000)]) {
      const answer = await invoke(platform, `says-${language}`, word, {
        headers: { 'x-fc-log-type': 'Tail' },
      });
      const tail = logTailOf(answer);
      assert.ok(Buffer.byteLength(tail) <= 4096);
      const requestId = String(answer.headers['x-fc-request-id']);
      assert.ok(tail.endsWith(`\nFC Invoke End RequestId: ${requestId}\n`));
      if (word.length < 10) {
        assert.equal(
          tail,
          `FC Invoke Start RequestId: ${requestId}\n${word}\nFC Invoke End RequestId: ${requestId}\n`,
        );
      }
    }
  }
});

test('a waiting request goes to whichever instance is free first', async (t) => {
  const platform = await startPlatform(t);
  const fields = {
    timeout: 30,
    instanceLifecycleConfig: { initializer: { handler: 'index.initializer', timeout: 30 } },
  };
  await createFunction(platform, 'slow-start', {
    language: 'python',
    code: `import time
def initializer(context):
    time.sleep(1)
def handler(event, context):
    time.sleep(0.3)
    return ''
`,
    fields,
  });
  // The first instance has been up for a while when both calls come: the second one waits for a second instance or for
  // the first to be free again, and an initializer takes longer than a handler.
  const warm = await invoke(platform, 'slow-start');
  const pair = await Promise.all([invoke(platform, 'slow-start'), invoke(platform, 'slow-start')]);
  assert.deepEqual(new Set(pair.map(instanceOf)), new Set([instanceOf(warm)]));
});

const HTTP_HANDLERS = {
  nodejs: `exports.handler = (req, resp, context) => {
  const parts = [];
  req.on('data', (part) => parts.push(part));
  req.on('end', () => {
    resp.statusCode = 201;
    resp.setHeader('Content-Type', 'application/json');
    resp.setHeader('X-Control', req.headers['x-fc-control-path'] ?? '');
    resp.end(JSON.stringify({
      method: req.method, path: req.url.split('?')[0], query: req.url.split('?')[1] ?? '',
      header: req.headers['x-a'] ?? '', body: Buffer.concat(parts).toString('hex'), requestId: context.requestId,
    }));
  });
};`,
  python: `import json
def handler(environ, start_response):
    body = environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 0))
    start_response('201 Created', [('Content-Type', 'application/json'),
        ('X-Control', environ.get('HTTP_X_FC_CONTROL_PATH', ''))])
    return [json.dumps({
        'method': environ['REQUEST_METHOD'], 'path': environ['PATH_INFO'], 'query': environ['QUERY_STRING'],
        'header': environ.get('HTTP_X_A', ''), 'body': body.hex(), 'requestId': environ['fc.context'].request_id,
    }).encode()]
`,
};

for (const language of BOTH) {
  test(`${language}: HTTP handlers answer triggers and the invoke API`, async (t) => {
    const platform = await startPlatform(t);
    await createFunction(platform, 'web', { language, code: HTTP_HANDLERS[language] });
    await createHttpTrigger(platform, 'web');
    const byTrigger = await send(platform.url, {
      method: 'PUT',
      path: '/http/web/web/a/b?c=d',
      headers: { 'x-a': 'v' },
      body: ALL_BYTES,
    });
    assert.deepEqual([byTrigger.status, byTrigger.headers['x-control']], [201, '/http-invoke']);
    assert.deepEqual(jsonOf(byTrigger), {
      method: 'PUT',
      path: '/a/b',
      query: 'c=d',
      header: 'v',
      body: ALL_BYTES.toString('hex'),
      requestId: byTrigger.headers['x-fc-request-id'],
    });
    const byApi = await invoke(platform, 'web', ALL_BYTES);
    assert.deepEqual([byApi.status, byApi.headers['x-fc-http-status']], [200, '201']);
    assert.deepEqual(jsonOf(byApi), {
      method: 'POST',
      path: '/invoke',
      query: '',
      header: '',
      body: ALL_BYTES.toString('hex'),
      requestId: byApi.headers['x-fc-request-id'],
    });
  });
}

test('event handlers behind a trigger get and give the objects of FC 3.0', async (t) => {
  const platform = await startPlatform(t);
  const host = new URL(platform.url).host;
  for (const language of BOTH) {
    const name = `event-${language}`;
    const mirror = {
      nodejs: 'exports.handler = async (event) => event;',
      python: 'def handler(event, context):\n    return event\n',
    };
    await createFunction(platform, name, { language, code: mirror[language] });
    await createHttpTrigger(platform, name);
    const text = await send(platform.url, {
      method: 'POST',
      path: `/http/${name}/web/example?p=v1&p=v2&q=a%20b`,
      headers: { 'X-H': ['v1', 'v2'], 'User-Agent': 'ua' },
      body: 'Hello FC! \u4f60',
    });
    assert.equal(text.headers['content-type'], 'application/json');
    const event = jsonOf<
      Record<string, unknown> & { headers: Record<string, string>; requestContext: Record<string, unknown> }
    >(text);
    const { requestContext } = event;
    assert.deepEqual(
      [event['version'], event['rawPath'], event['body'], event['isBase64Encoded'], event['queryParameters']],
      ['v1', '/example', 'Hello FC! \u4f60', false, { p: 'v1,v2', q: 'a b' }],
    );
    assert.equal(event.headers['X-H'], 'v1,v2');
    assert.deepEqual(requestContext['http'], {
      method: 'POST',
      path: '/example',
      protocol: 'HTTP/1.1',
      sourceIp: '127.0.0.1',
      userAgent: 'ua',
    });
    assert.deepEqual(
      [requestContext['accountId'], requestContext['domainName'], requestContext['requestId']],
      ['1000000000000000', host, text.headers['x-fc-request-id']],
    );
    assert.match(String(requestContext['time']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.match(String(requestContext['timeEpoch']), /^\d{13}$/);

    const binary = jsonOf<{ body: string; isBase64Encoded: boolean }>(
      await send(platform.url, { method: 'POST', path: `/http/${name}/web/`, body: ALL_BYTES }),
    );
    assert.deepEqual([binary.isBase64Encoded, binary.body], [true, ALL_BYTES.toString('base64')]);
  }
});

/** What a handler gives, as JSON, and what its caller gets. */
const ANSWERS: Record<
  string,
  { gives: unknown; status: number; body: string | Buffer; headers: Record<string, unknown> }
> = {
  object: {
    gives: { statusCode: 201, headers: { 'Content-Type': 'text/html', 'X-A': 'b' }, body: '<p>' },
    status: 201,
    body: '<p>',
    headers: { 'content-type': 'text/html', 'x-a': 'b' },
  },
  base64: {
    gives: {
      statusCode: 200,
      headers: { 'Content-Type': 'image/jpeg' },
      isBase64Encoded: true,
      body: PICTURE.toString('base64'),
    },
    status: 200,
    body: PICTURE,
    headers: { 'content-type': 'image/jpeg' },
  },
  cookies: {
    gives: { statusCode: 302, headers: { Location: '/next', 'Set-Cookie': ['a=1', 'b=2'] } },
    status: 302,
    body: '',
    headers: { location: '/next', 'set-cookie': ['a=1', 'b=2'] },
  },
  'status-text': { gives: { statusCode: '404', body: 'none' }, status: 404, body: 'none', headers: {} },
  'json-body': {
    gives: { statusCode: 200, body: { a: 1 } },
    status: 200,
    body: '{"a":1}',
    headers: { 'content-type': 'application/json' },
  },
  'plain-text': { gives: 'just a text', status: 200, body: 'just a text', headers: {} },
  'other-json': {
    gives: { a: 1 },
    status: 200,
    body: '{"a":1}',
    headers: { 'content-type': 'application/json' },
  },
  list: { gives: [1, 2], status: 200, body: '[1,2]', headers: {} },
};

test('what an event handler gives becomes the answer of its trigger', async (t) => {
  const platform = await startPlatform(t);
  const table = JSON.stringify(
    Object.fromEntries(Object.entries(ANSWERS).map(([name, { gives }]) => [name, gives])),
  );
  const code = {
    nodejs: `const answers = require('./answers.json');\nexports.handler = async (event) => answers[JSON.parse(event).rawPath.slice(1)];`,
    python: `import json\nanswers = json.load(open('answers.json'))\ndef handler(event, context):\n    return answers[json.loads(event)['rawPath'][1:]]\n`,
  };
  for (const language of BOTH) {
    const name = `gives-${language}`;
    await createFunction(platform, name, {
      language,
      code: { [LANGUAGES[language].file]: code[language], 'answers.json': table },
    });
    await createHttpTrigger(platform, name);
    for (const [path, { status, body, headers }] of Object.entries(ANSWERS)) {
      const answer = await send(platform.url, { path: `/http/${name}/web/${path}` });
      assert.equal(answer.status, status, `${language}: ${path}: ${answer.body.toString()}`);
      const shown = Buffer.isBuffer(body)
        ? answer.body
        : answer.body.toString().replaceAll(/(?<=[,:]) /g, '');
      assert.deepEqual(shown, body, `${language}: ${path}`);
      for (const [header, value] of Object.entries(headers)) {
        assert.deepEqual(answer.headers[header], value, `${language}: ${path}: ${header}`);
      }
    }
  }
});

interface Interpreter {
  readonly name: string;
  readonly version: string;
}

test('every runtime that the machine has runs in its own version', async (t) => {
  const platform = await startPlatform(t, {
    environment: { PATH: [process.env['PATH'], ...olderNodes()].join(':') },
  });
  const { runtimes } = jsonOf<{ runtimes: Interpreter[] }>(
    await signedCall(platform, { method: 'GET', path: '/thaw/v1/info' }),
  );
  const has = (name: string, version: string): boolean =>
    runtimes.some((runtime) => runtime.name === name && runtime.version.startsWith(`${version}.`));
  for (const version of ['18', '20', '22', '24', '26']) {
    const skip = has('nodejs', version) ? false : `this machine has no Node ${version}`;
    await t.test(`nodejs${version}`, { skip }, () =>
      checkRuntime(
        platform,
        `nodejs${version}`,
        'nodejs',
        'exports.handler = async () => process.versions.node;',
        version,
      ),
    );
  }
  for (const version of ['3.9', '3.10', '3.11', '3.12', '3.13']) {
    const skip = has('python3', version) ? false : `this machine has no Python ${version}`;
    await t.test(`python${version}`, { skip }, () =>
      checkRuntime(
        platform,
        `python${version}`,
        'python',
        'import platform\ndef handler(event, context): return platform.python_version()\n',
        version,
      ),
    );
  }
});

async function checkRuntime(
  platform: Platform,
  runtime: string,
  language: Language,
  code: string,
  version: string,
): Promise<void> {
  const name = runtime.replaceAll('.', '-');
  await createFunction(platform, name, { language, code, fields: { runtime } });
  const answer = await invoke(platform, name);
  assert.ok(answer.body.toString().startsWith(`${version}.`), answer.body.toString());
}

/** `npm test` brings older engines and says where they are. */
function olderNodes(): string[] {
  const paths = (process.env['THAW_TEST_NODES'] ?? '').split(':').filter((path) => path !== '');
  return paths.map((path) => join(path, '..'));
}
