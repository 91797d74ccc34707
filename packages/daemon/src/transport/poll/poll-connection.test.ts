import assert from 'node:assert/strict';
import {
  Agent,
  createServer,
  request as httpRequest,
  type ClientRequest,
  type IncomingMessage,
} from 'node:http';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { RecordingSink, settled } from '../recording-sink.ts';
import type { EventRequest, ReportedError } from '../transport.ts';
import { PollConnection } from './poll-connection.ts';
import type { PolledFunction } from './runtime-dialect.ts';

const LAMBDA = '/2018-06-01/runtime';
const FC = '/2020-11-11/runtime';
const FLOOD_BYTES = 64 * 1024 * 1024;
/** More than the sockets and streams on the way hold. */
const IN_FLIGHT_BYTES_MAX = 24 * 1024 * 1024;

interface Told {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
}

class World {
  readonly connection: PollConnection;
  readonly events: string[] = [];
  readonly port: number;
  readonly #agent: Agent;

  constructor(connection: PollConnection, events: string[], port: number, agent: Agent) {
    this.connection = connection;
    this.events = events;
    this.port = port;
    this.#agent = agent;
  }

  request(method: string, path: string, headers: Record<string, string> = {}): ClientRequest {
    const { port } = this;
    return httpRequest({ host: '127.0.0.1', port, method, path, headers, agent: this.#agent });
  }

  async call(method: string, path: string, body: string | Buffer = '', headers = {}): Promise<Told> {
    const request = this.request(method, path, headers);
    request.end(body);
    const response = await responseTo(request);
    const text = (await buffer(response)).toString();
    return { status: response.statusCode ?? 0, headers: response.headers, text };
  }

  async next(api = LAMBDA): Promise<{ id: string; text: string; headers: IncomingMessage['headers'] }> {
    const { status, headers, text } = await this.call('GET', `${api}/invocation/next`);
    assert.equal(status, 200);
    const id = String(headers['lambda-runtime-aws-request-id'] ?? headers['x-fc-request-id']);
    return { id, text, headers };
  }

  invoke(
    id: string,
    body: EventRequest['body'] = Buffer.from(id),
    sink = new RecordingSink(),
  ): RecordingSink {
    const common = { kind: 'event', deadlineMs: 1700000000000, qualifier: 'prod', versionId: '2' } as const;
    this.connection.exchange({ ...common, requestId: id, body }, sink);
    return sink;
  }
}

function responseTo(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve);
    request.once('error', reject);
  });
}

async function open(t: TestContext, change: Partial<PolledFunction> = {}): Promise<World> {
  const events: string[] = [];
  const connection = new PollConnection(
    { ...POLLED, ...change },
    {
      onFirstPoll: ({ name }) => events.push(`first poll of ${name}`),
      onInitError: ({ errorType, errorMessage }) => events.push(`init error ${errorType}: ${errorMessage}`),
      onLog: (source, text) => events.push(`${source} ${text}`),
      onClosed: () => events.push('closed'),
    },
  );
  const server = createServer((request, response) => connection.handle(request, response));
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const agent = new Agent({ keepAlive: true });
  t.after(() => {
    connection.close();
    agent.destroy();
    server.closeAllConnections();
    server.close();
  });
  return new World(connection, events, address.port, agent);
}

const POLLED: PolledFunction = {
  functionName: 'app',
  versionId: '2',
  handler: 'main',
  initializer: undefined,
  hooks: {
    preFreeze: { handler: 'main', timeout: 5 },
    preStop: { handler: 'main', timeout: 6 },
    postThaw: { handler: 'main', timeout: 7 },
  },
  timeoutMs: 2500,
  memoryMb: 128,
  instanceConcurrency: 1,
  environment: { FC_REGION: 'local', FC_ACCOUNT_ID: '123' },
  logProject: '',
  logStore: '',
};

test('1 and 2 many at once keep to themselves', async (t) => {
  const world = await open(t, { instanceConcurrency: 20 });
  const ids = Array.from({ length: 20 }, (_, at) => `1-aa-${at}`);
  const serving = ids.map(async () => {
    const { id, text } = await world.next();
    assert.equal((await world.call('POST', `${LAMBDA}/invocation/${id}/response`, `to ${text}`)).status, 202);
  });
  const sinks = ids.map((id) => world.invoke(id));
  await Promise.all([...serving, ...sinks.map(({ ended }) => ended)]);
  assert.deepEqual(
    sinks.map((sink) => [sink.calls, sink.text()]),
    ids.map((id) => [['head', 'data', 'end'], `to ${id}`]),
  );
  assert.deepEqual(world.events, ['first poll of lambda']);
});

test('3 a streamed answer waits for a reader that asked for a pause', async (t) => {
  const world = await open(t);
  const sink = new RecordingSink({ pausesAtFirst: true });
  const common = { kind: 'event', deadlineMs: 0, qualifier: 'LATEST', versionId: 'LATEST' } as const;
  const exchange = world.connection.exchange({ ...common, requestId: '1-a', body: Buffer.alloc(0) }, sink);
  await world.next();
  const answer = world.request('POST', `${LAMBDA}/invocation/1-a/response`, {
    'Lambda-Runtime-Function-Response-Mode': 'streaming',
  });
  flood().pipe(answer);
  const answered = responseTo(answer);
  await settled('the answer to stop', () => sink.bytes);
  assert.ok(sink.bytes > 0 && sink.bytes < IN_FLIGHT_BYTES_MAX, `${sink.bytes} bytes came`);
  sink.flow();
  exchange.resume();
  await sink.ended;
  assert.equal(sink.bytes, FLOOD_BYTES);
  assert.equal((await answered).resume().statusCode, 202);
});

test('4 a body waits for a runtime that does not read it', async (t) => {
  const world = await open(t);
  let produced = 0;
  const body = flood((bytes) => {
    produced = bytes;
  });
  world.invoke('1-a', body);
  const poll = world.request('GET', `${LAMBDA}/invocation/next`);
  poll.end();
  const response = await responseTo(poll);
  await settled('the body to stop', () => produced);
  assert.ok(produced < IN_FLIGHT_BYTES_MAX, `${produced} bytes left`);
  let read = 0;
  for await (const chunk of response) read += Buffer.from(chunk).length;
  assert.equal(read, FLOOD_BYTES);
});

test('6 every open exchange breaks with the connection', async (t) => {
  const world = await open(t);
  const sinks = [world.invoke('1-a'), world.invoke('1-b')];
  await world.next();
  world.connection.close();
  sinks.push(world.invoke('1-c'));
  await Promise.all(sinks.map(({ ended }) => ended));
  assert.deepEqual(
    sinks.map(({ failure }) => failure?.kind),
    ['broken', 'broken', 'broken'],
  );
  assert.deepEqual(world.events, ['first poll of lambda', 'closed']);
});

test('a poll whose runtime went away gets no work', async (t) => {
  const world = await open(t);
  const abandoned = connect(world.port, '127.0.0.1');
  abandoned.write(`GET ${LAMBDA}/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n`);
  await settled('the poll', () => world.events.length, 1);
  abandoned.destroy();
  await settled('nobody to wait', () => (world.connection.waitingPolls === 0 ? 1 : 0), 1);
  const sink = world.invoke('1-a');
  const { id } = await world.next();
  await world.call('POST', `${LAMBDA}/invocation/${id}/response`, 'fine');
  await sink.ended;
  assert.equal(sink.text(), 'fine');
});

test('a runtime that breaks off within its answer may give it again, but not once it is streamed', async (t) => {
  const world = await open(t);
  for (const mode of ['buffered', 'streaming']) {
    const sink = world.invoke(`1-${mode}`);
    await world.next();
    const path = `${LAMBDA}/invocation/1-${mode}/response`;
    const cut = world.request('POST', path, {
      'Lambda-Runtime-Function-Response-Mode': mode,
      'Content-Length': '100',
    });
    cut.on('error', () => undefined);
    cut.write('half');
    await settled('the half to come', () => sink.bytes, mode === 'streaming' ? 4 : 0);
    cut.destroy();
    if (mode === 'streaming') {
      await sink.ended;
      assert.ok(sink.failure?.kind === 'reported');
      assert.equal(sink.failure.error.errorType, 'Runtime.TruncatedResponse');
      continue;
    }
    // Until the platform has seen the end of the first try it refuses another.
    let status = 400;
    while (status === 400) ({ status } = await world.call('POST', path, 'whole'));
    assert.equal(status, 202);
    await sink.ended;
    assert.equal(sink.text(), 'whole');
  }
});

test('an answer that is too large is refused and fails its invocation', async (t) => {
  const world = await open(t);
  const sink = world.invoke('1-a');
  await world.next();
  const large = Buffer.alloc(LIMITS.syncPayloadBytesMax + 1);
  const told = await world.call('POST', `${LAMBDA}/invocation/1-a/response`, large);
  assert.equal(told.status, 413);
  assert.equal(JSON.parse(told.text).errorType, 'RequestEntityTooLarge');
  await sink.ended;
  assert.ok(sink.failure?.kind === 'reported');
  assert.equal(sink.failure.error.errorType, 'Function.ResponseSizeTooLarge');
});

test('an error is told with what it brings, and is fatal where the process ends', async (t) => {
  const world = await open(t);
  const bodies: [string, Record<string, string>, Partial<ReportedError>][] = [
    [
      '{"errorType":"A","errorMessage":"b","stackTrace":[{"path":"x.go","line":3,"label":"main"},"at y"]}',
      {},
      { errorType: 'A', errorMessage: 'b', stackTrace: ['main (x.go:3)', 'at y'] },
    ],
    [
      '{"errorMessage":"b","trace":["t"]}',
      { 'Lambda-Runtime-Function-Error-Type': 'C' },
      { errorType: 'C', stackTrace: ['t'] },
    ],
    ['not JSON', {}, { errorType: 'Error', errorMessage: 'not JSON' }],
    ['[1]', {}, { errorType: 'Error', errorMessage: '[1]' }],
  ];
  for (const [body, headers, expected] of bodies) {
    const sink = world.invoke('1-a');
    await world.next();
    assert.equal((await world.call('POST', `${LAMBDA}/invocation/1-a/error`, body, headers)).status, 202);
    await sink.ended;
    assert.ok(sink.failure?.kind === 'reported');
    const { error } = sink.failure;
    assert.deepEqual({ ...error, ...expected }, error);
    assert.equal(error.fatal, false);
  }
  const last = world.invoke('1-b');
  await world.next();
  await world.call('POST', `${LAMBDA}/invocation/1-b/error`, '{"errorType":"Panic"}');
  world.connection.onExit();
  await last.ended;
  assert.ok(last.failure?.kind === 'reported' && last.failure.error.fatal);
});

test('what the API does not know is refused', async (t) => {
  const world = await open(t);
  assert.equal((await world.call('GET', '/')).status, 404);
  assert.equal((await world.call('GET', '/2019-01-01/runtime/invocation/next')).status, 404);
  assert.equal((await world.call('PUT', `${LAMBDA}/invocation/next`)).status, 404);
  assert.equal((await world.call('POST', `${LAMBDA}/invocation/%zz/response`)).status, 400);
  assert.deepEqual(world.events, []);
});

test('an error at load fails the start, and later is a line in the log', async (t) => {
  const world = await open(t);
  const path = `${LAMBDA}/init/error`;
  const body = '{"errorMessage":"no such module"}';
  const headers = { 'Lambda-Runtime-Function-Error-Type': 'Runtime.ImportModuleError' };
  assert.equal((await world.call('POST', path, body, headers)).status, 202);
  const sink = world.invoke('1-a');
  await world.next();
  await world.call('POST', `${LAMBDA}/invocation/1-a/response`, '');
  await sink.ended;
  await world.call('POST', path, body, headers);
  assert.deepEqual(world.events, [
    'init error Runtime.ImportModuleError: no such module',
    'first poll of lambda',
    'stderr Runtime.ImportModuleError: no such module\n',
  ]);
});

test("FC's runtime gets its initializer and hooks as work of their own kinds, Lambda's gets none", async (t) => {
  const world = await open(t, { initializer: { handler: 'main', timeout: 3 } });
  const ends: string[] = [];
  const end =
    (what: string) =>
    (error: ReportedError | undefined): void => {
      ends.push(`${what} ${error?.errorMessage ?? 'well'}`);
    };
  const types = [];
  for (const call of ['initializer', 'preFreeze', 'preStop'] as const) {
    if (call === 'initializer') world.connection.initialize(end(call));
    else {
      // Which API the runtime speaks is known once it has polled.
      world.connection.runHook(call, end(call));
    }
    const { id, headers } = await world.next(FC);
    types.push([headers['x-fc-function-type'], headers['x-fc-function-timeout']]);
    const verb = call === 'preFreeze' ? 'error' : 'response';
    const told = await world.call('POST', `${FC}/invocation/${id}/${verb}`, '{"errorMessage":"badly"}');
    assert.equal(told.status, 200);
  }
  assert.deepEqual(types, [
    ['1', '3'],
    ['3', '5'],
    ['2', '6'],
  ]);
  assert.deepEqual(ends, ['initializer well', 'preFreeze badly', 'preStop well']);
  const lambda = await open(t);
  await new Promise<void>((resolve) => {
    lambda.connection.runHook('preStop', () => resolve());
  });
});

test("FC's runtime asks for more before it has answered", async (t) => {
  const world = await open(t);
  const sink = world.invoke('1-a');
  const { id, headers } = await world.next(FC);
  assert.equal(headers['x-fc-function-timeout'], '3');
  assert.equal(headers['x-fc-function-deadline'], '1700000000000');
  assert.equal(headers['x-fc-qualifier'], 'prod');
  const waiting = world.next(FC);
  await settled('the second poll', () => world.connection.waitingPolls, 1);
  assert.equal((await world.call('POST', `${FC}/invocation/${id}/response`, 'fine')).status, 200);
  await sink.ended;
  assert.equal(sink.text(), 'fine');
  world.invoke('1-b');
  assert.equal((await waiting).id, '1-b');
});

function flood(onBytes: (bytes: number) => void = () => undefined): Readable {
  const chunk = Buffer.alloc(64 * 1024, 'x');
  let bytes = 0;
  return new Readable({
    read() {
      if (bytes >= FLOOD_BYTES) {
        this.push(null);
        return;
      }
      bytes += chunk.length;
      onBytes(bytes);
      this.push(chunk);
    },
  });
}
