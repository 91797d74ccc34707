import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { test, type TestContext } from 'node:test';
import { startPlatform, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { createFunction, createHttpTrigger, invoke } from './support/functions.ts';
import { jsonOf, responseOf, send, sendRaw, type Answer } from './support/http-call.ts';
import { sign, signedCall } from './support/signed-call.ts';

/** Says what it was asked; some paths do what their name says. */
const MIRROR = `
const { createHash } = require('node:crypto');
const seen = [];
exports.handler = (req, resp) => {
  const path = req.url.split('?')[0];
  seen.push(req.url);
  if (path === '/seen') return resp.end(JSON.stringify(seen));
  if (path === '/204' || path === '/304') { resp.statusCode = Number(path.slice(1)); resp.setHeader('ETag', '"1"'); return resp.end(); }
  if (path === '/cookies') { resp.setHeader('Set-Cookie', ['a=1; Path=/', 'b=2']); resp.setHeader('x-fc-forged', '1'); return resp.end('set'); }
  if (path === '/length') { resp.setHeader('Content-Length', '5'); return resp.end(req.method === 'HEAD' ? undefined : 'hello'); }
  const hash = createHash('sha256');
  let bytes = 0;
  req.on('data', (chunk) => { bytes += chunk.length; hash.update(chunk); });
  req.on('end', () => {
    resp.setHeader('Content-Type', 'application/json');
    resp.end(JSON.stringify({ method: req.method, url: req.url, headers: req.rawHeaders, bytes, sha256: hash.digest('hex') }));
  });
};`;

interface Mirrored {
  readonly method: string;
  readonly url: string;
  readonly headers: readonly string[];
  readonly bytes: number;
  readonly sha256: string;
}

const mirrored = (answer: Answer): Mirrored => {
  assert.equal(answer.status, 200, answer.body.toString());
  return jsonOf(answer);
};

const sha256 = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex');

async function startMirror(t: TestContext, config: object = {}): Promise<Platform> {
  const platform = await startPlatform(t);
  await createFunction(platform, 'mirror', { code: MIRROR, fields: { timeout: 60 } });
  await createHttpTrigger(platform, 'mirror', { ...config });
  return platform;
}

const WEB = '/http/mirror/web';

test('a trigger hands requests to an HTTP handler and its answers back, as they are', async (t) => {
  const platform = await startMirror(t);

  await t.test('paths, queries, headers and bodies arrive as they were sent', async () => {
    const paths = [
      '/%2F%2f/a%20b',
      '//double//slash/',
      '/../up/./here',
      '/%E4%BD%A0%E5%A5%BD',
      "/!$&'()*+,;=:@-._~",
      '/?',
      '/?a=1&a=2&&=&b',
      '/x?q=%00%ff+%2B',
      '/x?u=http://h/?y%23z',
      '/%zz/%',
      '/;p=1/[x]|{y}^`',
      '/?"<>\\',
    ];
    for (const path of paths) {
      const got = mirrored(await send(platform.url, { path: WEB + path }));
      // A query without anything in it is no query.
      assert.equal(got.url, path === '/?' ? '/' : path, path);
    }
    const answer = mirrored(
      await send(platform.url, {
        method: 'POST',
        path: `${WEB}/`,
        body: 'payload',
        headers: {
          'X-Twice': ['one', 'two'],
          'X-CaSe': 'Kept',
          'X-Empty': '',
          'X-Latin': 'caf\u00e9',
          'x-fc-request-id': 'forged',
          'X-Fc-Account-Id': 'forged',
        },
      }),
    );
    const pairs = answer.headers.flatMap((name, at) =>
      at % 2 === 0 ? [[name, answer.headers[at + 1]]] : [],
    );
    const valuesOf = (name: string): unknown[] =>
      pairs.filter(([each]) => each === name).map(([, value]) => value);
    assert.deepEqual(valuesOf('X-Twice'), ['one', 'two']);
    assert.deepEqual(valuesOf('X-CaSe'), ['Kept']);
    assert.deepEqual(valuesOf('X-Empty'), ['']);
    assert.deepEqual(valuesOf('X-Latin'), ['caf\u00e9']);
    assert.ok(!answer.headers.includes('forged'), 'callers may not speak for the platform');
    assert.deepEqual(valuesOf('x-fc-control-path'), ['/http-invoke']);

    const bytes = Buffer.from(Array.from({ length: 256 }, (_, value) => value));
    for (const size of [0, 1, 256, 65_536, 65_537, 1 << 20]) {
      const body = Buffer.alloc(size, bytes);
      const whole = mirrored(await send(platform.url, { method: 'PUT', path: `${WEB}/`, body }));
      assert.deepEqual([whole.bytes, whole.sha256], [size, sha256(body)]);
      const chunked = mirrored(
        await send(platform.url, {
          method: 'PUT',
          path: `${WEB}/`,
          body,
          headers: { 'transfer-encoding': 'chunked' },
        }),
      );
      assert.deepEqual([chunked.bytes, chunked.sha256], [size, sha256(body)], 'chunked');
    }
  });

  await t.test(
    "HEAD, 204 and 304 have no body, cookies stay apart, x-fc- headers are the platform's own",
    async () => {
      const head = await send(platform.url, { method: 'HEAD', path: `${WEB}/length` });
      assert.deepEqual([head.status, head.body.length, head.headers['content-length']], [200, 0, '5']);
      for (const status of [204, 304]) {
        for (const method of ['GET', 'HEAD']) {
          const empty = await send(platform.url, { method, path: `${WEB}/${status}` });
          assert.deepEqual([empty.status, empty.body.length, empty.headers['etag']], [status, 0, '"1"']);
          assert.equal(empty.headers['transfer-encoding'], undefined);
        }
      }
      const cookies = await send(platform.url, { path: `${WEB}/cookies` });
      assert.deepEqual(cookies.headers['set-cookie'], ['a=1; Path=/', 'b=2']);
      assert.equal(cookies.headers['x-fc-forged'], undefined);
      assert.match(String(cookies.headers['x-fc-request-id']), /^1-/);
      assert.match(String(cookies.headers['server-timing']), /handler;dur=/);
    },
  );

  await t.test('one connection carries many requests, also before their turn', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ports = new Set<number>();
    agent.on('free', (socket: { localPort?: number }) => ports.add(socket.localPort ?? 0));
    for (let n = 0; n < 50; n += 1) {
      const method = n % 2 === 0 ? 'GET' : 'POST';
      const got = mirrored(
        await send(platform.url, {
          method,
          path: `${WEB}/${n}`,
          agent,
          ...(n % 2 === 0 ? {} : { body: 'b' }),
        }),
      );
      assert.equal(got.url, `/${n}`);
    }
    // What was refused does not spoil the connection for what follows.
    assert.equal(
      (
        await send(platform.url, {
          method: 'POST',
          path: '/http/nobody/web/',
          body: 'x'.repeat(1 << 20),
          agent,
        })
      ).status,
      404,
    );
    assert.equal(mirrored(await send(platform.url, { path: `${WEB}/after`, agent })).url, '/after');
    agent.destroy();
    assert.equal(ports.size, 1);

    const one = (n: number): string =>
      `POST ${WEB}/p${n} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n${n === 9 ? 'Connection: close\r\n' : ''}\r\n0${n}`;
    const answers = await sendRaw(platform.url, Array.from({ length: 10 }, (_, n) => one(n)).join(''));
    const urls = [...answers.matchAll(/"url":"([^"]*)"/g)].map(([, url]) => url);
    assert.deepEqual(
      urls,
      Array.from({ length: 10 }, (_, n) => `/p${n}`),
    );
  });

  await t.test('a caller that asks first is told to go on', async () => {
    const { hostname, port } = new URL(platform.url);
    const request = httpRequest({
      host: hostname,
      port,
      method: 'POST',
      path: `${WEB}/`,
      headers: { expect: '100-continue', 'content-length': '4' },
      agent: false,
    });
    request.flushHeaders();
    await once(request, 'continue');
    const answered = responseOf(request);
    request.end('body');
    const response = await answered;
    response.resume();
    await once(response, 'end');
    assert.equal(response.statusCode, 200);
    const unknown = await sendRaw(
      platform.url,
      `POST ${WEB}/ HTTP/1.1\r\nHost: x\r\nExpect: a-miracle\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
    );
    assert.match(unknown, /^HTTP\/1\.1 417 /);
  });

  await t.test('a large upload streams through without staying in memory', async () => {
    mirrored(await send(platform.url, { path: `${WEB}/warm` }));
    const before = residentBytes(platform.pid);
    const piece = Buffer.alloc(64 * 1024, 'thaw');
    const hash = createHash('sha256');
    const { hostname, port } = new URL(platform.url);
    let peak = before;
    const request = httpRequest({
      host: hostname,
      port,
      method: 'POST',
      path: `${WEB}/upload`,
      headers: { 'content-length': String(UPLOAD_BYTES) },
      agent: false,
    });
    const answered = responseOf(request);
    let left = UPLOAD_BYTES / piece.length;
    const source = new Readable({
      read() {
        if (left === 0) {
          this.push(null);
          return;
        }
        left -= 1;
        if (left % 100 === 0) peak = Math.max(peak, residentBytes(platform.pid));
        hash.update(piece);
        this.push(piece);
      },
    });
    await pipeline(source, request);
    const response = await answered;
    const got = jsonOf<Mirrored>({ body: await buffer(response) });
    assert.deepEqual([got.bytes, got.sha256], [UPLOAD_BYTES, hash.digest('hex')]);
    assert.ok(peak - before < UPLOAD_GROWTH_BYTES_MAX, `the platform grew by ${(peak - before) >> 20} MiB`);
  });

  await t.test('who is refused while still sending can read why', async () => {
    const bytes = Buffer.alloc(8 * 1024 * 1024);
    // Not kept alive, which is where a connection that is closed too soon loses the answer.
    const refused = await send(platform.url, { method: 'POST', path: '/http/nobody/web/', body: bytes });
    assert.equal(refused.status, 404);
    const chunked = await send(platform.url, {
      method: 'POST',
      path: '/2023-03-30/functions',
      body: bytes,
      headers: { 'transfer-encoding': 'chunked' },
    });
    assert.deepEqual(
      [chunked.status, JSON.parse(chunked.body.toString()).Code],
      [400, 'MissingRequiredHeader'],
    );
  });
});

test('a trigger answers at both of its addresses, and only to its methods', async (t) => {
  const platform = await startMirror(t, { methods: ['GET', 'POST'] });
  const byPath = mirrored(await send(platform.url, { path: `${WEB}/a/b?x=1` }));
  assert.deepEqual([byPath.method, byPath.url], ['GET', '/a/b?x=1']);
  const host = `mirror.localhost:${new URL(platform.url).port}`;
  const byHost = mirrored(await send(platform.url, { path: '/a/b?x=1', headers: { host } }));
  assert.deepEqual([byHost.method, byHost.url], ['GET', '/a/b?x=1']);
  assert.equal(mirrored(await send(platform.url, { path: WEB })).url, '/');
  assert.equal(mirrored(await send(platform.url, { path: `${WEB}?q` })).url, '/?q');
  const upper = mirrored(
    await send(platform.url, { path: '/2023-03-30/functions', headers: { host: 'MIRROR.localhost' } }),
  );
  assert.equal(upper.url, '/2023-03-30/functions', 'a function owns every path of its host');

  for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD', 'TRACE', 'PROPFIND']) {
    const refused = await send(platform.url, { method, path: `${WEB}/` });
    assert.equal(refused.status, 405, method);
    assert.equal(refused.headers['allow'], 'GET, POST', method);
    assert.equal(refused.headers['x-fc-error-type'], 'FcCommonError');
    if (method !== 'HEAD') {
      assert.match(JSON.parse(refused.body.toString()).Message, /'mirror' allows GET, POST, not /);
    }
  }
  for (const path of ['/http/mirror/other/', '/http/nobody/web/', '/http/', '/http/mirror', '/http//web/']) {
    const refused = await send(platform.url, { path });
    assert.deepEqual(
      [refused.status, JSON.parse(refused.body.toString()).Code],
      [404, 'TRIGGER_NOT_FOUND'],
      path,
    );
  }
  const elsewhere = await send(platform.url, { path: '/', headers: { host: 'nobody.localhost' } });
  assert.equal(elsewhere.status, 404);
});

const UPLOAD_BYTES = 100 * 1024 * 1024;
/** The whole upload would not fit in it; what an idle platform's heap may do meanwhile does. */
const UPLOAD_GROWTH_BYTES_MAX = 64 * 1024 * 1024;

function residentBytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(line?.[1] ?? 0) * 1024;
}

/**
 * Sends the second part only after it was told, by a second request to itself, that the first has come. `/endless` makes
 * bytes as fast as they are taken; `/made` tells how many, and whether they are still being made.
 */
const STREAMER = `
const { Readable } = require('node:stream');
let goOn, made = 0, isOver = false;
exports.handler = (req, resp) => {
  if (req.url === '/go-on') { goOn(); return resp.end(); }
  if (req.url === '/made') return resp.end(JSON.stringify({ made, isOver }));
  if (req.url === '/sse') {
    resp.setHeader('Content-Type', 'text/event-stream');
    resp.write('data: first\\n\\n');
    goOn = () => resp.end('data: second\\n\\n');
    return;
  }
  if (req.url === '/endless') {
    const source = new Readable({ read() { made += 65536; this.push(Buffer.alloc(65536)); } });
    resp.on('close', () => { isOver = true; source.destroy(); });
    return source.pipe(resp);
  }
  resp.write('first');
  goOn = () => resp.end('second');
};`;

test('an answer is sent as it is made', async (t) => {
  const platform = await startPlatform(t);
  await createFunction(platform, 'streamer', { code: STREAMER, fields: { instanceConcurrency: 5 } });
  await createHttpTrigger(platform, 'streamer');
  const goOn = (): Promise<Answer> => send(platform.url, { path: '/http/streamer/web/go-on' });
  for (const [path, first, second] of [
    ['/', 'first', 'second'],
    ['/sse', 'data: first\n\n', 'data: second\n\n'],
  ] as const) {
    const response = await open(platform, `/http/streamer/web${path}`);
    response.setEncoding('utf8');
    const came: unknown[] = await once(response, 'data');
    assert.deepEqual(came, [first]);
    const rest: string[] = [];
    response.on('data', (text: string) => rest.push(text));
    await goOn();
    if (!response.readableEnded) await once(response, 'end');
    assert.equal(rest.join(''), second);
    assert.equal(response.headers['content-length'], undefined);
  }
});

async function open(platform: Platform, path: string, method = 'GET'): Promise<IncomingMessage> {
  const { hostname, port } = new URL(platform.url);
  const request = httpRequest({ host: hostname, port, path, method, agent: false });
  request.end();
  const response = await responseOf(request);
  response.on('error', () => undefined);
  return response;
}

/** What the connection, the platform and the link may hold of an answer that nobody reads. */
const UNREAD_BYTES_MAX = 32 * 1024 * 1024;

test('a slow reader holds the function back, and one that goes away ends its request', async (t) => {
  const platform = await startPlatform(t);
  await createFunction(platform, 'streamer', {
    code: STREAMER,
    fields: { instanceConcurrency: 5, timeout: 60 },
  });
  await createHttpTrigger(platform, 'streamer');
  const made = async (): Promise<{ made: number; isOver: boolean }> =>
    jsonOf(await send(platform.url, { path: '/http/streamer/web/made' }));
  const response = await open(platform, '/http/streamer/web/endless');
  let before = -1;
  await waitFor('the function to be held back', async () => {
    const now = (await made()).made;
    const isHeld = now > 0 && now === before;
    before = now;
    return isHeld;
  });
  assert.ok(before < UNREAD_BYTES_MAX, `${before} bytes were made for a caller that reads none`);
  response.destroy();
  await waitFor('the handler to be told', async () => (await made()).isOver);
});

/** Its slot is free again as soon as it was told that its caller is gone. */
const WATCHER = `
exports.initializer = (context, callback) => setTimeout(callback, 1000);
exports.handler = (req, resp) => {
  console.log('run ' + req.url);
  if (req.url !== '/stay') return resp.end('done');
  resp.on('close', () => console.log('gone ' + req.url));
};`;

async function startWatcher(t: TestContext): Promise<Platform> {
  const platform = await startPlatform(t);
  await createFunction(platform, 'watcher', {
    code: WATCHER,
    fields: {
      timeout: 60,
      instanceLifecycleConfig: { initializer: { handler: 'index.initializer', timeout: 10 } },
    },
  });
  await createHttpTrigger(platform, 'watcher');
  return platform;
}

async function logOf(platform: Platform): Promise<string> {
  const answer = await signedCall(platform, { method: 'GET', path: '/thaw/v1/functions/watcher/logs' });
  return answer.body.toString();
}

test('a caller that hangs up is told to the handler', async (t) => {
  const platform = await startWatcher(t);
  const first = callOnce(platform, '/http/watcher/web/stay');
  await waitFor('the request to run', async () => (await logOf(platform)).includes('run /stay'));
  first.hangUp();
  await waitFor('the handler to be told', async () => (await logOf(platform)).includes('gone /stay'));
  const after = await send(platform.url, { path: '/http/watcher/web/after' });
  assert.equal(after.body.toString(), 'done');
});

test('a caller that hangs up while it waits is never served', async (t) => {
  const platform = await startWatcher(t);
  const waiting = callOnce(platform, '/http/watcher/web/too-late');
  await waitFor('an instance to be started for it', async () => {
    const answer = await signedCall(platform, {
      method: 'GET',
      path: '/2023-03-30/functions/watcher/instances',
    });
    return JSON.parse(answer.body.toString()).instances.length === 1;
  });
  waiting.hangUp();
  const after = await send(platform.url, { path: '/http/watcher/web/after' });
  assert.equal(after.body.toString(), 'done');
  const log = await waitFor('its log', async () => {
    const text = await logOf(platform);
    return text.includes('run /after') && text;
  });
  assert.ok(!log.includes('run /too-late'), log);
});

/** A request on a connection of its own that can be cut. */
function callOnce(platform: Platform, path: string): { hangUp(): void } {
  const { hostname, port } = new URL(platform.url);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.on('error', () => undefined);
  socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
  return { hangUp: () => socket.destroy() };
}

test('a signed trigger takes both signatures and no other call', async (t) => {
  const platform = await startPlatform(t);
  await createFunction(platform, 'mirror', { code: MIRROR });
  await createHttpTrigger(platform, 'mirror', { authType: 'function' });
  const { accessKeyId, accessKeySecret } = platform.credentials;
  const path = `${WEB}/a%20b`;
  const fcSigned = (secret: string, date = new Date()): Record<string, string> => {
    const headers = { date: date.toUTCString(), 'content-type': 'text/plain' };
    const text = `POST\n\n${headers['content-type']}\n${headers.date}\n${decodeURIComponent(path)}\nx=1`;
    const signature = createHmac('sha256', secret).update(text).digest('base64');
    return { ...headers, authorization: `FC ${accessKeyId}:${signature}` };
  };
  const call = { method: 'POST', path: `${path}?x=1`, body: 'data' };
  const ours = mirrored(await send(platform.url, { ...call, headers: fcSigned(accessKeySecret) }));
  assert.deepEqual([ours.url, ours.bytes], ['/a%20b?x=1', 4]);
  const acs3 = sign(platform, {
    method: 'POST',
    path,
    query: 'x=1',
    body: 'data',
    headers: { 'content-type': 'text/plain' },
  });
  assert.equal(mirrored(await send(platform.url, acs3)).url, '/a%20b?x=1');

  const refused = async (headers: Record<string, string>, code: string): Promise<void> => {
    const answer = await send(platform.url, { ...call, headers });
    assert.deepEqual([answer.status, JSON.parse(answer.body.toString()).Code], [403, code]);
    assert.equal(answer.headers['x-fc-error-type'], 'FcCommonError');
  };
  await refused({}, 'SIGNATURE_MISSING');
  await refused(fcSigned('guess'), 'SIGNATURE_INVALID');
  await refused({ ...fcSigned(accessKeySecret), authorization: `FC nobody:x` }, 'ACCESS_KEY_UNKNOWN');
  await refused(fcSigned(accessKeySecret, new Date(Date.now() - 3_600_000)), 'REQUEST_EXPIRED');
  const wrong = sign(platform, { method: 'POST', path, query: 'x=2' });
  await refused(wrong.headers, 'SIGNATURE_INVALID');
});

test('a browser of another origin gets what the trigger allows', async (t) => {
  const platform = await startMirror(t, {
    methods: ['GET', 'POST'],
    corsConfig: {
      allowOrigins: ['https://app.example.com', 'https://*.example.org'],
      allowMethods: ['GET', 'POST'],
      allowHeaders: ['X-Token'],
      exposeHeaders: ['X-Total'],
      allowCredentials: true,
      maxAge: 600,
    },
  });
  const preflight = (origin: string): Promise<Answer> =>
    send(platform.url, {
      method: 'OPTIONS',
      path: `${WEB}/x`,
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'x-token',
      },
    });
  const allowed = await preflight('https://app.example.com');
  assert.equal(allowed.status, 204);
  assert.equal(allowed.headers['access-control-allow-origin'], 'https://app.example.com');
  assert.equal(allowed.headers['access-control-allow-methods'], 'GET, POST');
  assert.equal(allowed.headers['access-control-allow-headers'], 'X-Token');
  assert.equal(allowed.headers['access-control-allow-credentials'], 'true');
  assert.equal(allowed.headers['access-control-max-age'], '600');
  assert.equal(
    (await preflight('https://a.example.org')).headers['access-control-allow-origin'],
    'https://a.example.org',
  );
  assert.equal((await preflight('https://evil.com')).headers['access-control-allow-origin'], undefined);

  const simple = await send(platform.url, {
    path: `${WEB}/x`,
    headers: { origin: 'https://app.example.com' },
  });
  assert.equal(simple.headers['access-control-allow-origin'], 'https://app.example.com');
  assert.equal(simple.headers['access-control-expose-headers'], 'X-Total');
  assert.equal(simple.headers['vary'], 'Origin');
  const same = await send(platform.url, { path: `${WEB}/x` });
  assert.equal(same.headers['access-control-allow-origin'], undefined);
});

test('the invoke API in front of an HTTP handler hands it the payload', async (t) => {
  const platform = await startPlatform(t);
  await createFunction(platform, 'mirror', { code: MIRROR });
  const got = mirrored(await invoke(platform, 'mirror', 'payload'));
  assert.deepEqual([got.method, got.url, got.bytes, got.sha256], ['POST', '/invoke', 7, sha256('payload')]);
});

test('what is not HTTP never gets into the answer before it', async (t) => {
  const platform = await startPlatform(t);
  await createFunction(platform, 'streamer', { code: STREAMER, fields: { instanceConcurrency: 5 } });
  await createHttpTrigger(platform, 'streamer');
  const { hostname, port } = new URL(platform.url);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.setEncoding('latin1');
  let came = '';
  socket.on('data', (text: string) => {
    came += text;
  });
  socket.write('GET /http/streamer/web/ HTTP/1.1\r\nHost: x\r\n\r\n');
  await waitFor('the first part', () => came.includes('first'));
  socket.write('this is not HTTP\r\n\r\n');
  await once(socket, 'close');
  assert.match(came, /^HTTP\/1\.1 200 /);
  assert.doesNotMatch(came, /InvalidArgument/);
  await send(platform.url, { path: '/http/streamer/web/go-on' });
});
