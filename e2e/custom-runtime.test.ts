import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Readable, type Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { test, type TestContext } from 'node:test';
import { startPlatform, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { deployExample } from './fixtures/deploy-example.ts';
import {
  missingNpmIndex,
  missingProgram,
  missingPythonIndex,
  missingSandbox,
} from './fixtures/requirements.ts';
import { createFunction, createHttpTrigger, functionErrorOf, invoke } from './support/functions.ts';
import { send, type Answer } from './support/http-call.ts';
import { signedCall } from './support/signed-call.ts';

const LARGE_BYTES = 100 * 1024 * 1024;
/** So much may the platform grow while a body passes that is larger. */
const GROWTH_BYTES_MAX = 64 * 1024 * 1024;
const SERVER = await readFile(join(import.meta.dirname, 'fixtures/custom-server.cjs'), 'utf8');

interface CustomSpec {
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly environment?: Readonly<Record<string, string>>;
  readonly concurrency?: number;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly files?: Readonly<Record<string, string>>;
}

/** Deploys the tests' server and gives the path of its HTTP trigger, without the slash at its end. */
async function deployServer(platform: Platform, name: string, spec: CustomSpec = {}): Promise<string> {
  await createFunction(platform, name, {
    code: spec.files ?? { 'server.cjs': SERVER },
    fields: {
      runtime: 'custom',
      instanceConcurrency: spec.concurrency ?? 20,
      environmentVariables: spec.environment ?? {},
      customRuntimeConfig: { command: ['node', 'server.cjs'], ...spec.config },
      ...spec.fields,
    },
  });
  const url = await createHttpTrigger(platform, name);
  return new URL(url).pathname.slice(0, -1);
}

test('web servers of the user', { concurrency: true }, async (all) => {
  const platform = await startPlatform(all);
  const noSandbox = await missingSandbox(platform);
  const get = (path: string, headers: Record<string, string> = {}): Promise<Answer> =>
    send(platform.url, { path, headers: { host: platform.endpoint, ...headers } });
  const getJson = async <T>(path: string): Promise<T> => {
    const answer = await get(path);
    assert.equal(answer.status, 200, answer.body.toString());
    return JSON.parse(answer.body.toString());
  };

  await Promise.all([
    all.test('a Go server runs as it is', { skip: missingProgram('go') ?? false }, async (t) => {
      if ((await deployExample(t, platform, 'custom-go')) === undefined) return;
      assert.equal((await get('/http/custom-go/web/a/b')).body.toString(), 'Hello from Go: GET /a/b\n');
      assert.match((await get('/http/custom-go/web/ticks')).body.toString(), /tick 1\n\n.*tick 5\n\n$/su);
      assert.equal(await invokeText(platform, 'custom-go', 'an event'), 'Go got an event\n');
    }),

    all.test('an Express server runs as it is', async (t) => {
      if ((await deployExample(t, platform, 'custom-nodejs', missingNpmIndex)) === undefined) return;
      const onOwnHost = await get('/', { host: `custom-nodejs.localhost:${new URL(platform.url).port}` });
      assert.equal(onOwnHost.body.toString(), 'Hello from Express on port 9000\n');
      const echo = await send(platform.url, {
        method: 'POST',
        path: '/http/custom-nodejs/web/echo',
        headers: { host: platform.endpoint, 'content-type': 'text/plain' },
        body: 'Zoë',
      });
      assert.equal(echo.body.toString(), 'Zoë');
      assert.equal(await invokeText(platform, 'custom-nodejs', 'an event'), 'Express got an event\n');
    }),

    all.test('a FastAPI application runs as it is', async (t) => {
      if ((await deployExample(t, platform, 'custom-python', missingPythonIndex)) === undefined) return;
      const item = await getJson('/http/custom-python/web/items/7?detail=true');
      assert.deepEqual(item, { item: 7, detail: true });
      assert.match((await get('/http/custom-python/web/ticks')).body.toString(), /tick 5\n\n$/u);
      assert.equal(await invokeText(platform, 'custom-python', 'an event'), 'FastAPI got an event\n');
    }),

    all.test('the server gets path, headers and environment of FC', async () => {
      const path = await deployServer(platform, 'headers', {
        fields: { timeout: 25, instanceLifecycleConfig: { preStop: { handler: 'stop', timeout: 3 } } },
        environment: { MINE: 'yes' },
      });
      const answer = await get(`${path}/who?x=1%2F2`, {
        'x-fc-function-name': 'forged',
        connection: 'X-Hop',
        'x-hop': '1',
      });
      const who: Who = JSON.parse(answer.body.toString());
      assert.equal(who.url, '/who?x=1%2F2');
      const { 'x-fc-request-id': requestId, host, ...headers } = who.headers;
      assert.equal(host, platform.endpoint);
      assert.equal(requestId, answer.headers['x-fc-request-id']);
      assert.deepEqual(headers, {
        connection: 'keep-alive',
        'x-fc-account-id': '1000000000000000',
        'x-fc-control-path': '/http-invoke',
        'x-fc-function-handler': 'index.handler',
        'x-fc-function-memory': '128',
        'x-fc-function-name': 'headers',
        'x-fc-function-timeout': '25',
        'x-fc-instance-lifecycle-pre-stop-handler': 'stop',
        'x-fc-qualifier': 'LATEST',
        'x-fc-region': 'local',
        'x-fc-version-id': 'LATEST',
      });
      const { env } = who;
      assert.deepEqual(
        [env['MINE'], env['PORT'], env['FC_SERVER_PORT'], env['FC_CUSTOM_LISTEN_PORT'], env['FC_RUNTIME']],
        ['yes', '9000', '9000', '9000', 'custom'],
      );
      assert.equal(env['FC_INSTANCE_ID'], answer.headers['x-fc-instance-id']);
    }),

    all.test('events go to /invoke, and fail when the server says so', async () => {
      await deployServer(platform, 'events');
      const fine = await invoke(platform, 'events', 'hello');
      assert.deepEqual([fine.status, fine.body.toString()], [200, 'got hello']);
      assert.equal(fine.headers['x-fc-mine'], undefined);
      const broken = await invoke(platform, 'events', 'break');
      assert.deepEqual(
        [broken.status, broken.headers['x-fc-error-type'], functionErrorOf(broken)],
        [
          200,
          'UnhandledInvocationError',
          { errorType: 'Http500', errorMessage: 'the event broke it', stackTrace: [] },
        ],
      );
      const declared = await invoke(platform, 'events', 'declare');
      assert.deepEqual(
        [declared.headers['x-fc-error-type'], functionErrorOf(declared).errorMessage],
        ['HandledInvocationError', 'no such order'],
      );
    }),

    all.test('server-sent events come when they are sent', async () => {
      const path = await deployServer(platform, 'sse');
      const events: string[] = [];
      const whole = new Promise<void>((resolve, reject) => {
        const request = httpRequest(`${platform.url}${path}/events`, { agent: false }, (response) => {
          response.on('data', (chunk: Buffer) => events.push(chunk.toString()));
          response.once('end', resolve);
          response.once('error', reject);
        });
        request.once('error', reject);
        request.end();
      });
      await waitFor('the first event', () => events.length > 0);
      assert.deepEqual(events, ['data: first\n\n']);
      await get(`${path}/go`);
      await whole;
      assert.deepEqual(events, ['data: first\n\n', 'data: second\n\n']);
    }),

    all.test('WebSockets pass, on both addresses', async (t) => {
      const path = await deployServer(platform, 'sockets', { concurrency: 1 });
      assert.deepEqual(await talk(t, `${platform.url}${path}/chat`, ['one', 'two', 'bye']), ['one', 'two']);

      await t.test('an open socket holds its slot, so that others get another instance', async (inner) => {
        const socket = open(inner, `${platform.url}${path}/chat`);
        await socket.opened;
        await get(`${path}/who`);
        assert.deepEqual(await socket.say('still here'), 'still here');
        const { instances } = await listInstances(platform, 'sockets');
        assert.equal(instances.length, noSandbox === undefined ? 2 : 1);
      });

      await t.test('a caller that goes away lets the slot go', async () => {
        const request = httpRequest(`${platform.url}${path}/chat`, { agent: false, headers: WEBSOCKET });
        const [, socket] = await new Promise<[IncomingMessage, Duplex]>((resolve, reject) => {
          request.once('upgrade', (answer, upgraded) => resolve([answer, upgraded]));
          request.once('error', reject);
          request.end();
        });
        await waitFor('a busy instance', () => isBusy(platform, 'sockets'));
        socket.destroy();
        await waitFor('an idle instance', async () => !(await isBusy(platform, 'sockets')));
      });

      await t.test('the host of the function', async () => {
        const host = `sockets.localhost:${new URL(platform.url).port}`;
        const answer = await rawUpgrade(platform, '/chat', host);
        assert.match(answer, /^HTTP\/1\.1 101 [^]*Sec-WebSocket-Accept: /u);
      });

      await t.test('a refusal is an answer like any other', async () => {
        const answer = await rawUpgrade(platform, `${path}/refuse`, platform.endpoint);
        assert.match(answer, /^HTTP\/1\.1 403 [^]*no\n/u);
      });

      await t.test('what is no web server says that it cannot', async () => {
        await createFunction(platform, 'no-sockets', { code: 'exports.handler = async () => "x"' });
        const url = new URL(await createHttpTrigger(platform, 'no-sockets'));
        const answer = await rawUpgrade(platform, url.pathname, platform.endpoint);
        assert.match(answer, /^HTTP\/1\.1 400 [^]*cannot switch to websocket/u);
      });
    }),

    all.test('every instance has port 9000 to itself', { skip: noSandbox ?? false }, async () => {
      const path = await deployServer(platform, 'twins', { concurrency: 1 });
      const holding = httpRequest(`${platform.url}${path}/hold`, { agent: false });
      // It is broken off below.
      holding.on('error', () => undefined);
      holding.end();
      await waitFor('a busy instance', () => isBusy(platform, 'twins'));
      const other = await get(`${path}/who`);
      const { instances } = await listInstances(platform, 'twins');
      assert.equal(instances.length, 2);
      assert.ok(instances.some(({ instanceId }) => instanceId === other.headers['x-fc-instance-id']));
      holding.destroy();
    }),

    all.test('a server that takes its time is waited for', async () => {
      const path = await deployServer(platform, 'slow', { environment: { BOOT_MS: '1500' } });
      assert.equal((await get(`${path}/x`)).body.toString(), 'GET /x');
    }),

    all.test('a server that ends before it listens is reported with how it ended', async () => {
      await createFunction(platform, 'quitter', {
        code: { bootstrap: '' },
        fields: { runtime: 'custom', customRuntimeConfig: { command: ['node', '-e', 'process.exit(7)'] } },
      });
      const answer = await invoke(platform, 'quitter');
      assert.equal(answer.headers['x-fc-error-type'], 'UnhandledInvocationError');
      assert.match(
        functionErrorOf(answer).errorMessage,
        /exited with code 7 before it listened on port 9000/u,
      );
    }),

    all.test('a command that is not there is named', async () => {
      await createFunction(platform, 'empty', { code: { 'a.txt': '' }, fields: { runtime: 'custom' } });
      const answer = await invoke(platform, 'empty');
      assert.match(functionErrorOf(answer).errorMessage, /\/code\/bootstrap is not in its code package/u);
    }),

    all.test('a server that dies under a request', async (t) => {
      const path = await deployServer(platform, 'dying');
      const crash = await get(`${path}/crash`);
      assert.equal(crash.status, 502);
      assert.match(functionErrorOf(crash).errorMessage, /exited with code 3/u);
      // Broken off where its head was on its way already; where the kernel dropped even that, an error like any other.
      const half = await get(`${path}/half`).then(
        ({ status }) => status,
        ({ code }: { code: string }) => code,
      );
      assert.ok(half === 'ECONNRESET' || half === 502, String(half));
      await t.test('serves the next one with a new instance', async () => {
        assert.equal((await get(`${path}/x`)).status, 200);
      });
    }),

    all.test(
      'a connection that the server drops is told to the caller, and the instance lives on',
      async () => {
        const path = await deployServer(platform, 'dropping');
        const { pid, env } = await getJson<Who>(`${path}/who`);
        const dropped = await get(`${path}/drop`);
        assert.equal(dropped.status, 502);
        assert.match(functionErrorOf(dropped).errorMessage, /the server closed the connection/u);
        const after = await getJson<Who>(`${path}/who`);
        assert.deepEqual([after.pid, after.env['FC_INSTANCE_ID']], [pid, env['FC_INSTANCE_ID']]);
      },
    ),

    all.test('a failed initializer answers with what it said', async () => {
      await deployServer(platform, 'uninitialised', {
        environment: { INITIALIZE_STATUS: '503' },
        fields: { instanceLifecycleConfig: { initializer: { handler: 'unused', timeout: 5 } } },
      });
      const answer = await invoke(platform, 'uninitialised');
      assert.deepEqual([answer.status, answer.headers['x-fc-error-type']], [200, 'InitializationError']);
      assert.match(
        functionErrorOf(answer).errorMessage,
        /\/initialize answered with status 503: no licence/u,
      );
    }),

    all.test('hooks are called where they are configured, and nowhere else', async () => {
      const freeze = { THAW_FREEZE_AFTER_MS: '0' };
      const bare = await deployServer(platform, 'bare', { environment: freeze });
      const hooked = await deployServer(platform, 'hooked', {
        environment: freeze,
        fields: {
          instanceLifecycleConfig: {
            initializer: { handler: 'unused', timeout: 5 },
            preFreeze: { handler: 'unused', timeout: 5 },
            postThaw: { handler: 'unused', timeout: 5 },
          },
        },
      });
      const seen = await waitFor('a freeze and a thaw', async () => {
        const calls = await getJson<string[]>(`${hooked}/calls`);
        return calls.includes('GET /post-thaw') ? calls : undefined;
      });
      // A request may come while the hook before the freeze runs; then there is another one before the first thaw.
      const hooks = seen.filter((call) => call !== 'GET /calls');
      const thawAt = hooks.indexOf('GET /post-thaw');
      assert.equal(seen[0], 'POST /initialize');
      assert.ok(thawAt > 1, seen.join());
      assert.deepEqual(new Set(hooks.slice(1, thawAt)), new Set(['GET /pre-freeze']));
      for (let round = 0; round < 20; round += 1) await get(`${bare}/calls`);
      assert.deepEqual(new Set(await getJson<string[]>(`${bare}/calls`)), new Set(['GET /calls']));
    }),

    all.test('a server that drops idle connections costs no caller a reset', async () => {
      const path = await deployServer(platform, 'impatient', {
        environment: { KEEP_ALIVE_MS: '1', THAW_FREEZE_AFTER_MS: '1' },
      });
      const agent = new Agent({ keepAlive: true });
      for (let round = 0; round < 100; round += 1) {
        const answer = await send(platform.url, {
          method: 'POST',
          path: `${path}/bytes`,
          headers: { host: platform.endpoint },
          body: 'x',
          agent,
        });
        assert.equal(answer.status, 200, answer.body.toString());
      }
      agent.destroy();
    }),

    all.test(
      'a function without internet access is reached and reaches nothing',
      { skip: noSandbox ?? false },
      async () => {
        const path = await deployServer(platform, 'inside', { fields: { internetAccess: false } });
        assert.deepEqual(await getJson(`${path}/dial`), { code: 'ENETUNREACH' });
      },
    ),

    all.test('a server that fails its health check is replaced', async () => {
      const path = await deployServer(platform, 'ill', {
        environment: { THAW_FREEZE_AFTER_MS: 'never' },
        files: { 'server.cjs': FALLING_ILL },
        config: { healthCheckConfig: { httpGetUrl: '/health', periodSeconds: 1, failureThreshold: 1 } },
      });
      const first = (await get(`${path}/`)).headers['x-fc-instance-id'];
      await get(`${path}/fall-ill`);
      await waitFor(
        'another instance',
        async () => (await get(`${path}/`)).headers['x-fc-instance-id'] !== first,
      );
    }),
  ]);

  await all.test('a large body passes both ways without being held', async (t) => {
    const path = await deployServer(platform, 'large', { fields: { memorySize: 256, timeout: 120 } });
    await get(`${path}/x`);
    const before = await memoryBytesPeak(platform);
    await t.test('down', async () => {
      assert.equal(await download(`${platform.url}${path}/flood?bytes=${LARGE_BYTES}`), LARGE_BYTES);
    });
    await t.test('up', async () => {
      assert.deepEqual(JSON.parse(await upload(`${platform.url}${path}/bytes`)), { bytes: LARGE_BYTES });
    });
    const grown = (await memoryBytesPeak(platform)) - before;
    assert.ok(grown < GROWTH_BYTES_MAX, `the platform grew by ${grown} bytes`);
  });
});

test('without sandboxes a web server has one instance, which takes every request', async (t) => {
  const platform = await startPlatform(t, { isolation: 'process' });
  const port = await freePort();
  const path = await deployServer(platform, 'alone', { concurrency: 1, config: { port } });
  const answers = await Promise.all(
    Array.from({ length: 8 }, () =>
      send(platform.url, { path: `${path}/who`, headers: { host: platform.endpoint } }),
    ),
  );
  for (const { status, body } of answers) assert.equal(status, 200, body.toString());
  assert.equal(new Set(answers.map(({ headers }) => headers['x-fc-instance-id'])).size, 1);
  const { stdout } = await platform.thaw(['logs', 'alone']);
  assert.match(stdout.toString(), /without isolation, port \d+ of the machine is the function's/u);
});

/** A port that nothing on this machine has at this moment. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  if (address === null || typeof address === 'string') throw new Error('the server had no port');
  return address.port;
}

interface Who {
  readonly pid: number;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly env: Readonly<Record<string, string>>;
}

const FALLING_ILL = `let isWell = true;
require('node:http').createServer((request, response) => {
  if (request.url === '/fall-ill') isWell = false;
  response.writeHead(request.url === '/health' && !isWell ? 500 : 200).end();
}).listen(process.env.PORT);`;

async function invokeText(platform: Platform, name: string, event: string): Promise<string> {
  const answer = await invoke(platform, name, event);
  assert.equal(answer.headers['x-fc-error-type'], undefined, answer.body.toString());
  return answer.body.toString();
}

async function listInstances(
  platform: Platform,
  name: string,
): Promise<{ instances: { instanceId: string; status: string }[] }> {
  const answer = await signedCall(platform, {
    method: 'GET',
    path: `/2023-03-30/functions/${name}/instances`,
  });
  return JSON.parse(answer.body.toString());
}

async function isBusy(platform: Platform, name: string): Promise<boolean> {
  const { instances } = await listInstances(platform, name);
  return instances.some(({ status }) => status === 'Active');
}

const WEBSOCKET = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'sec-websocket-version': '13',
};

interface OpenSocket {
  readonly opened: Promise<void>;
  readonly closed: Promise<void>;
  readonly heard: string[];
  say(text: string): Promise<string | undefined>;
}

function open(t: TestContext, url: string): OpenSocket {
  const socket = new WebSocket(url.replace('http:', 'ws:'));
  t.after(() => socket.close());
  const heard: string[] = [];
  socket.addEventListener('message', ({ data }) => heard.push(String(data)));
  const failed = new Promise<never>((_, reject) => {
    socket.addEventListener('error', () => reject(new Error(`the WebSocket to ${url} failed`)));
  });
  const until = (event: 'open' | 'close'): Promise<void> =>
    Promise.race([failed, new Promise<void>((resolve) => socket.addEventListener(event, () => resolve()))]);
  const closed = until('close');
  closed.catch(() => undefined);
  return {
    opened: until('open'),
    closed,
    heard,
    say: async (text) => {
      const count = heard.length;
      socket.send(text);
      await Promise.race([closed, waitFor('an answer', () => heard.length > count)]);
      return heard[count];
    },
  };
}

/** Says these and gives what came back until the server closed. */
async function talk(t: TestContext, url: string, texts: readonly string[]): Promise<readonly string[]> {
  const socket = open(t, url);
  await socket.opened;
  for (const text of texts) await socket.say(text);
  await socket.closed;
  return socket.heard;
}

/** What came first for an upgrade to WebSocket, up to the end of the connection or of a switching head. */
function rawUpgrade(platform: Platform, path: string, host: string): Promise<string> {
  const { hostname, port } = new URL(platform.url);
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      host: hostname,
      port,
      path,
      agent: false,
      headers: { host, ...WEBSOCKET },
    });
    const headOf = (answer: { statusCode?: number | undefined; rawHeaders: string[] }): string => {
      const lines = answer.rawHeaders.map((text, at) => (at % 2 === 0 ? `\n${text}: ` : text));
      return `HTTP/1.1 ${answer.statusCode} ${lines.join('')}\n\n`;
    };
    request.once('upgrade', (answer, socket) => {
      socket.destroy();
      resolve(headOf(answer));
    });
    request.once('response', (answer) => {
      let body = '';
      answer.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      answer.once('end', () => resolve(headOf(answer) + body));
    });
    request.once('error', reject);
    request.end();
  });
}

function download(url: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { agent: false }, (response) => {
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
      response.once('end', () => resolve(bytes));
      response.once('error', reject);
    });
    request.once('error', reject);
    request.end();
  });
}

async function upload(url: string): Promise<string> {
  const chunk = Buffer.alloc(64 * 1024, 'x');
  const chunks = function* (): Iterable<Buffer> {
    for (let left = LARGE_BYTES; left > 0; left -= chunk.length) yield chunk;
  };
  const request = httpRequest(url, { method: 'POST', agent: false });
  const answered = new Promise<string>((resolve, reject) => {
    request.once('error', reject);
    request.once('response', (response) => {
      let text = '';
      response.on('data', (part: Buffer) => {
        text += part.toString();
      });
      response.once('end', () => resolve(text));
      response.once('error', reject);
    });
  });
  await pipeline(Readable.from(chunks()), request);
  return answered;
}

/** The most memory that the platform's process has had (`man 5 proc`, VmHWM). */
async function memoryBytesPeak({ pid }: Platform): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/mu.exec(status)?.[1]) * 1024;
}
