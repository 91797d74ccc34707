import assert from 'node:assert/strict';
import { createServer, connect, type Socket } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { RecordingSink, settled } from '../recording-sink.ts';
import type { HttpRequest } from '../transport.ts';
import { HotConnection } from './hot-connection.ts';

interface World {
  readonly connection: HotConnection;
  /** The program's end. */
  readonly program: Socket;
  /** What the program has read so far. */
  read(): string;
  readonly closed: unknown[];
}

async function open(t: TestContext, environment: Record<string, string> = {}): Promise<World> {
  const directory = await mkdtemp(join(tmpdir(), 'thaw-hot-'));
  const accepted = Promise.withResolvers<Socket>();
  const server = createServer((socket) => accepted.resolve(socket));
  server.listen(join(directory, 's'));
  const program = connect(join(directory, 's'));
  const stdio = await accepted.promise;
  let text = '';
  program.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
  });
  const closed: unknown[] = [];
  const connection = new HotConnection(stdio, environment, { onClosed: (cause) => closed.push(cause) });
  t.after(async () => {
    connection.close();
    program.destroy();
    server.close();
    await rm(directory, { recursive: true });
  });
  return { connection, program, closed, read: () => text };
}

function request(change: Partial<HttpRequest> = {}): HttpRequest {
  return {
    kind: 'http',
    requestId: '1-aa-bb',
    deadlineMs: 0,
    qualifier: 'LATEST',
    versionId: 'LATEST',
    method: 'PUT',
    url: '/a/b?x=1&x=2',
    base: '/http/f/web',
    rawHeaders: ['Host', 'here:80', 'X-Odd', 'one'],
    remoteAddress: '127.0.0.1',
    scheme: 'http',
    body: Buffer.from('payload'),
    ...change,
  };
}

const response = (body: string, status = 200): string =>
  `HTTP/1.1 ${status} Whatever\r\nX-Own: 1\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

async function exchanged(
  world: World,
  answer: string,
  change: Partial<HttpRequest> = {},
): Promise<RecordingSink> {
  const sink = new RecordingSink();
  const before = world.read().length;
  world.connection.exchange(request(change), sink);
  await settled(
    'the request',
    () => Number(world.read().length > before && world.read().endsWith('payload')),
    1,
  );
  world.program.write(answer);
  await sink.ended;
  return sink;
}

test('the request is what IronFunctions writes, variables as headers', async (t) => {
  const world = await open(t, { greeting: 'hé\nllo', FC_REGION: 'local' });
  const sink = await exchanged(world, response('hello', 418));
  const expected = [
    'GET / HTTP/1.1',
    'Host: ',
    'Content-Length: 7',
    'GREETING: hÃ© llo',
    'METHOD: PUT',
    'ROUTE: /a/b',
    'REQUEST_URL: http://here:80/http/f/web/a/b?x=1&x=2',
    'HEADER_HOST: here:80',
    'HEADER_X_ODD: one',
    'PARAM_X: 1 2',
    'Task-ID: 1-aa-bb',
    '',
    'payload',
  ];
  assert.equal(world.read(), expected.join('\r\n'));
  assert.deepEqual(sink.calls, ['head', 'data', 'end']);
  assert.deepEqual([sink.head?.status, sink.text()], [418, 'hello']);
});

test('variables named like headers of HTTP itself change nothing', async (t) => {
  const environment = {
    HOST: 'x',
    trailer: 'y',
    CONNECTION: 'close',
    EXPECT: '100-continue',
    upgrade: 'z',
    __proto: 'p',
  };
  const world = await open(t, environment);
  assert.equal((await exchanged(world, response('hello'))).text(), 'hello');
  const [head = ''] = world.read().split('\r\n\r\n');
  const names = head.split('\r\n').slice(1, 5);
  assert.deepEqual(names, ['Host: ', 'Content-Length: 7', '__PROTO: p', 'METHOD: PUT']);
});

test('one process serves one after the other, whatever it says of its connection', async (t) => {
  const world = await open(t);
  const closing = 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na';
  assert.equal((await exchanged(world, closing)).text(), 'a');
  assert.equal((await exchanged(world, `${response('b')}\r\n\n`)).text(), 'b');
  const empty = await exchanged(world, 'HTTP/1.1 204 No Content\r\n\r\n');
  assert.deepEqual([empty.head?.status, empty.calls], [204, ['head', 'end']]);
  assert.equal((await exchanged(world, response('c'))).text(), 'c');
  assert.deepEqual(world.closed, []);
});

test('the invoke API ignores the status', async (t) => {
  const world = await open(t);
  const sink = await exchanged(world, response('hello', 500), {
    rawHeaders: ['x-fc-control-path', '/invoke'],
  });
  assert.deepEqual([sink.head?.status, sink.text()], [200, 'hello']);
});

const malformed: Record<string, string> = {
  'no Content-Length': 'HTTP/1.1 200 OK\r\n\r\nhello',
  'chunks in the place of a length': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'a length that is no number': 'HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nhello',
  'two lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nhello',
  'no HTTP at all': 'hello\n',
  'a switch of protocols': 'HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
  'a head without end': `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(100_000)}`,
  'bytes after the body': `${response('hello')}more`,
  'a second response': response('hello') + response('hello'),
};
for (const [what, answer] of Object.entries(malformed)) {
  test(`${what} is an error of the function and the end of the process`, async (t) => {
    const world = await open(t);
    const sink = await exchanged(world, answer);
    assert.ok(sink.failure?.kind === 'reported', JSON.stringify(sink.failure));
    assert.equal(sink.failure.error.errorType, 'ResponseInvalid');
    assert.equal(sink.failure.error.fatal, true);
  });
}

test('bytes that belong to no request end the process', async (t) => {
  const world = await open(t);
  await exchanged(world, response('hello'));
  world.program.write('late');
  await settled('the connection to end', () => world.closed.length, 1);
  const sink = new RecordingSink();
  world.connection.exchange(request(), sink);
  await sink.ended;
  assert.equal(sink.failure?.kind, 'broken');
});

test('6 an exchange breaks with its process, also in the middle of the answer', async (t) => {
  for (const answer of ['', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf']) {
    const world = await open(t);
    const sink = new RecordingSink();
    world.connection.exchange(request(), sink);
    world.program.end(answer);
    await sink.ended;
    assert.equal(sink.failure?.kind, 'broken');
    assert.equal(world.closed.length, 1);
  }
});

test('6 a connection that is closed breaks an answer that waits for its reader', async (t) => {
  const world = await open(t);
  const sink = new RecordingSink({ pausesAtFirst: true });
  world.connection.exchange(request(), sink);
  world.program.end(response('x'.repeat(150_000)));
  await settled('the first of it', () => sink.bytes);
  world.connection.close();
  await Promise.all([sink.ended, world.connection.settled]);
  assert.equal(sink.failure?.kind, 'broken');
});

test('an answer whose process ends right after it is whole', async (t) => {
  const world = await open(t);
  const sink = new RecordingSink({ pausesAtFirst: true });
  const exchange = world.connection.exchange(request(), sink);
  const body = 'x'.repeat(150_000);
  world.program.end(response(body));
  await settled('the first of it', () => sink.bytes);
  sink.flow();
  exchange.resume();
  await world.connection.settled;
  assert.deepEqual([sink.calls, sink.text() === body], [['head', 'data', 'end'], true]);
});

test('3 a large answer waits for a reader that asked for a pause', async (t) => {
  const world = await open(t);
  const body = 'x'.repeat(32 * 1024 * 1024);
  const sink = new RecordingSink({ pausesAtFirst: true });
  const exchange = world.connection.exchange(request(), sink);
  world.program.write(response(body));
  await settled('the answer to stop', () => sink.bytes);
  assert.ok(sink.bytes < body.length);
  sink.flow();
  exchange.resume();
  await sink.ended;
  assert.equal(sink.bytes, body.length);
  assert.equal((await exchanged(world, response('next'))).text(), 'next');
});

test('a caller that breaks off in the middle of its body does not put the process out of step', async (t) => {
  const world = await open(t);
  const body = new PassThrough();
  body.write('half');
  const sink = new RecordingSink();
  world.connection.exchange(request({ body }), sink);
  body.destroy();
  await sink.ended;
  assert.ok(sink.failure?.kind === 'reported' && !sink.failure.error.fatal);
  assert.equal(world.read(), '');
  assert.equal((await exchanged(world, response('next'))).text(), 'next');
});
