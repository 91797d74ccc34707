import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { PassThrough, Readable } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { RecordingSink, settled } from '../recording-sink.ts';
import { FLOOD_BYTES, transportContract, type TransportWorld } from '../transport-contract.ts';
import type { HttpRequest } from '../transport.ts';
import { HealthChecks } from './health-check.ts';
import { connectFor, httpRequest, invokeRequest, portOf, serveFor } from './server-fixture.ts';

transportContract('http', async (t): Promise<TransportWorld> => {
  const held: { request: IncomingMessage; response: ServerResponse }[] = [];
  let cancelled = 0;
  const { server, connection } = await serveFor(t, (request, response) => {
    if (request.url === '/flood') flood(response);
    else if (request.url === '/echo') request.pipe(response);
    else {
      held.push({ request, response });
      response.once('close', () => {
        if (!response.writableFinished) cancelled += 1;
      });
    }
  });
  return {
    transport: connection,
    request: (behaviour, body) => httpRequest('POST', `/${behaviour}`, { body }),
    release: () => {
      for (const { request, response } of held) request.pipe(response);
    },
    held: () => ({ open: held.length, cancelled }),
    kill: () => {
      server.closeAllConnections();
      connection.break(new Error('the server exited'));
    },
  };
});

function flood(response: ServerResponse): void {
  const chunk = Buffer.alloc(64 * 1024, 'x');
  let left = FLOOD_BYTES / chunk.length;
  const send = (): void => {
    while (left > 0) {
      left -= 1;
      if (!response.write(chunk)) {
        response.once('drain', send);
        return;
      }
    }
    response.end();
  };
  send();
}

async function answerTo(
  connection: { exchange(request: HttpRequest, sink: RecordingSink): unknown },
  request: HttpRequest,
): Promise<RecordingSink> {
  const sink = new RecordingSink();
  connection.exchange(request, sink);
  await sink.ended;
  return sink;
}

test('what is of the connection stays there, the rest passes with the headers of the platform', async (t) => {
  let seen: string[] = [];
  const { connection } = await serveFor(t, (request, response) => {
    seen = request.rawHeaders;
    response.writeHead(200, [
      'Connection',
      'X-Mine',
      'X-Mine',
      '1',
      'Set-Cookie',
      'a=1',
      'Set-Cookie',
      'b=2',
    ]);
    response.end('ok');
  });
  const own = ['x-fc-request-id', '1-a', 'x-fc-control-path', '/http-invoke'];
  const rawHeaders = ['Host', 'app.example', 'Connection', 'close, X-Hop', 'X-Hop', '1', 'TE', 'trailers'];
  rawHeaders.push('Expect', '100-continue', 'Keep-Alive', 'timeout=1', 'X-Odd', 'é', ...own);
  const sink = await answerTo(connection, httpRequest('GET', '/a?b=c', { rawHeaders }));
  const names = seen.filter((_, at) => at % 2 === 0);
  assert.deepEqual(names, [
    'host',
    'connection',
    'X-Odd',
    'x-fc-request-id',
    'x-fc-control-path',
    'x-fc-function-name',
    'x-fc-function-handler',
    'x-fc-function-memory',
    'x-fc-function-timeout',
    'x-fc-region',
    'x-fc-account-id',
    'x-fc-version-id',
    'x-fc-qualifier',
  ]);
  assert.deepEqual(seen.slice(0, 4), ['host', 'app.example', 'connection', 'keep-alive']);
  const answered = sink.head?.rawHeaders ?? [];
  assert.deepEqual(
    answered.filter((_, at) => at % 2 === 0 && !['Date', 'Transfer-Encoding'].includes(answered[at] ?? '')),
    ['Set-Cookie', 'Set-Cookie'],
  );
});

test('answers without a body leave the connection usable', async (t) => {
  const { connection } = await serveFor(t, (request, response) => {
    const status = Number(request.url?.slice(1));
    response.writeHead(status, status === 200 ? ['Content-Length', '5'] : []);
    response.end(status === 200 ? 'hello' : undefined);
  });
  for (const [method, status, body] of [
    ['HEAD', 200, ''],
    ['GET', 204, ''],
    ['GET', 304, ''],
    ['GET', 200, 'hello'],
  ] as const) {
    const sink = await answerTo(connection, httpRequest(method, `/${status}`));
    assert.deepEqual([sink.head?.status, sink.text(), sink.failure], [status, body, undefined]);
  }
});

test('an answer that comes before the whole body leaves the caller its connection', async (t) => {
  const { connection } = await serveFor(t, (_request, response) => {
    response.writeHead(413);
    response.end('too much');
  });
  const body = new PassThrough();
  body.write('some');
  const sink = await answerTo(connection, httpRequest('POST', '/', { body }));
  assert.deepEqual([sink.head?.status, sink.text()], [413, 'too much']);
  body.end('the rest');
  await settled('the rest to be read', () => Number(body.readableEnded), 1);
});

test('a caller that goes away in the middle of its body takes its request along', async (t) => {
  let aborted = 0;
  const { connection } = await serveFor(t, (request) => {
    request.on('error', () => {
      aborted += 1;
    });
    request.resume();
  });
  const body = new PassThrough();
  body.write('some');
  const sink = new RecordingSink();
  const exchange = connection.exchange(httpRequest('POST', '/', { body }), sink);
  await settled('the body to be taken', () => body.readableLength, 0);
  exchange.cancel();
  await sink.ended;
  await settled('the server to know', () => aborted, 1);
});

test('a failed event is what the server said', async (t) => {
  const answers: [number, Record<string, string>, string][] = [
    [200, {}, 'fine'],
    [404, { 'x-fc-status': '404' }, '{"errorMessage":"no such order","errorType":"NotFound"}'],
    [200, { 'x-fc-status': '404' }, ''],
    [500, {}, 'it broke'],
  ];
  let next = 0;
  const { connection } = await serveFor(t, (_request, response) => {
    const [status, headers, body] = answers[next] ?? [200, {}, ''];
    next += 1;
    response.writeHead(status, headers);
    response.end(body);
  });
  const outcomes = [];
  for (const _ of answers) {
    const { head, failure } = await answerTo(connection, invokeRequest('{}'));
    outcomes.push(head?.status ?? (failure?.kind === 'reported' ? failure.error : failure));
  }
  assert.deepEqual(outcomes, [
    200,
    { errorType: 'NotFound', errorMessage: 'no such order', handled: true, fatal: false },
    {
      errorType: 'Http200',
      errorMessage: 'the server answered /invoke with status 200',
      handled: true,
      fatal: false,
    },
    { errorType: 'Http500', errorMessage: 'it broke', handled: false, fatal: false },
  ]);
});

/** A server that answers one request on each connection and drops the next one without a word. */
async function forgetfulServer(t: TestContext): Promise<{ port: number; requests: string[] }> {
  const requests: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    let carried = 0;
    socket.on('error', () => undefined);
    socket.on('data', (bytes: Buffer) => {
      requests.push(bytes.toString('latin1').split(' ')[0] ?? '');
      carried += 1;
      if (carried === 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      else socket.destroy();
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { port: portOf(server), requests };
}

test('a kept connection that died is replaced once, where a request may be sent twice', async (t) => {
  const { port, requests } = await forgetfulServer(t);
  const connection = connectFor(t, port);
  assert.equal((await answerTo(connection, httpRequest('GET', '/'))).text(), 'ok');
  assert.equal((await answerTo(connection, httpRequest('GET', '/'))).text(), 'ok');
  assert.deepEqual(requests, ['GET', 'GET', 'GET']);
});

test('a request that may have run is never sent again', async (t) => {
  const { port, requests } = await forgetfulServer(t);
  const connection = connectFor(t, port);
  await answerTo(connection, httpRequest('GET', '/'));
  const sink = await answerTo(connection, httpRequest('POST', '/', { body: Buffer.from('pay') }));
  assert.ok(sink.failure?.kind === 'reported');
  assert.equal(sink.failure.error.errorType, 'ConnectionClosed');
  assert.deepEqual(requests, ['GET', 'POST']);
});

test('an idle connection is closed before its server or a freeze could', async (t) => {
  const { server, connection } = await serveFor(t, (_request, response) => response.end('ok'), {
    freezeAfterMs: 1,
  });
  let closed = 0;
  server.on('connection', (socket) => socket.once('close', () => (closed += 1)));
  await answerTo(connection, httpRequest('GET', '/'));
  await settled('the connection to close', () => closed, 1);
});

test('what is not HTTP is an error of the function', async (t) => {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end('SSH-2.0-OpenSSH\r\n\r\n');
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.after(() => server.close());
  const sink = await answerTo(connectFor(t, portOf(server)), httpRequest('GET', '/'));
  assert.ok(sink.failure?.kind === 'reported');
  assert.equal(sink.failure.error.errorType, 'InvalidResponse');
});

test('an upgraded connection carries bytes both ways until either side ends it', async (t) => {
  const { server, connection } = await serveFor(t, (_request, response) => response.end());
  server.on('upgrade', (request: IncomingMessage, socket: Socket) => {
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\nX-Is: 1\r\n\r\n',
    );
    socket.write(`for ${request.url};`);
    socket.pipe(socket);
  });
  const body = new PassThrough();
  const sink = new RecordingSink();
  connection.exchange(httpRequest('GET', '/up', { upgrade: 'echo', body }), sink);
  body.write('first;');
  await settled('the echo', () => sink.bytes, 'for /up;first;'.length);
  assert.deepEqual(sink.head, { status: 101, rawHeaders: ['Upgrade', 'echo', 'X-Is', '1'] });
  body.end('last');
  await sink.ended;
  assert.deepEqual([sink.text(), sink.calls.at(-1)], ['for /up;first;last', 'end']);
});

test('a server that does not notice that its caller is gone gives the slot back', async (t) => {
  const { server, connection } = await serveFor(t, (_request, response) => response.end());
  server.on('upgrade', (_request: IncomingMessage, socket: Socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: none\r\nConnection: Upgrade\r\n\r\n');
    socket.resume();
  });
  const body = new PassThrough();
  body.end();
  const sink = await answerTo(connection, httpRequest('GET', '/up', { upgrade: 'none', body }));
  assert.equal(sink.calls.at(-1), 'end');
});

test('hooks and the initializer are calls of the platform', async (t) => {
  const seen: string[] = [];
  const { connection } = await serveFor(t, (request, response) => {
    seen.push(`${request.method} ${request.url} ${String(request.headers['x-fc-control-path'])}`);
    response.writeHead(request.url === '/pre-stop' ? 500 : 200);
    response.end('no disk');
  });
  const errors = [];
  for (const hook of ['preFreeze', 'preStop', 'postThaw'] as const) {
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    connection.runHook(hook, (error) => resolve(error?.errorMessage));
    errors.push(await promise);
  }
  await new Promise<void>((resolve) => connection.initialize(() => resolve()));
  assert.deepEqual(errors, [undefined, '/pre-stop answered with status 500: no disk', undefined]);
  assert.deepEqual(seen, [
    'GET /pre-freeze /pre-freeze',
    'GET /pre-stop /pre-stop',
    'GET /post-thaw /post-thaw',
    'POST /initialize /initialize',
  ]);
});

test('a hook that lost its connection waits for the news that its server is gone', async (t) => {
  const { connection } = await serveFor(t, (request, response) => {
    if (request.url === '/post-thaw') request.socket.destroy();
    else response.end();
  });
  const told: string[] = [];
  connection.runHook('postThaw', (error) => told.push(error?.errorType ?? 'fine'));
  // The second call goes after the first, so what came of the first is known with its answer.
  await new Promise<void>((resolve) => {
    connection.call('GET', '/health', () => resolve());
  });
  told.push('gone');
  connection.break(new Error('the server exited'));
  assert.deepEqual(told, ['gone', 'ConnectionClosed']);
});

test('a hook ends with its connection', async (t) => {
  const { connection } = await serveFor(t, () => undefined);
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  connection.runHook('preStop', (error) => resolve(error?.errorType));
  connection.close();
  assert.equal(await promise, 'ConnectionClosed');
});

test('a server is healthy when it says so, and ill when it has stopped to often enough', async (t) => {
  let isWell = false;
  let asked = 0;
  const { connection } = await serveFor(t, (request, response) => {
    assert.equal(request.url, '/health?deep');
    asked += 1;
    response.writeHead(isWell ? 200 : 503);
    response.end();
    if (asked === 2) isWell = true;
  });
  const check = {
    httpGetUrl: '/health?deep',
    initialDelaySeconds: 0,
    periodSeconds: 0.02,
    timeoutSeconds: 1,
  };
  const health = new HealthChecks({ ...check, failureThreshold: 3, successThreshold: 2 }, connection, false);
  t.after(() => health.stop());
  await new Promise<void>((resolve) => health.untilHealthy(resolve));
  assert.equal(asked, 4);
  isWell = false;
  await new Promise<void>((resolve) => health.watch(resolve));
  assert.equal(asked, 7);
});

test('a stream of events comes as it is written', async (t) => {
  const { promise: next, resolve: goOn } = Promise.withResolvers<void>();
  const { connection } = await serveFor(t, (_request, response) => {
    response.writeHead(200, ['Content-Type', 'text/event-stream']);
    response.write('data: 1\n\n');
    void next.then(() => response.end('data: 2\n\n'));
  });
  const sink = new RecordingSink();
  connection.exchange(httpRequest('GET', '/events', { body: Readable.from([]) }), sink);
  await settled('the first event', () => sink.bytes, 'data: 1\n\n'.length);
  goOn();
  await sink.ended;
  assert.equal(sink.text(), 'data: 1\n\ndata: 2\n\n');
});
