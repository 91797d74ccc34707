import assert from 'node:assert/strict';
import { PassThrough, duplexPair, type Duplex } from 'node:stream';
import { test } from 'node:test';
import type { SandboxExit } from '../../sandbox/sandbox.ts';
import { RecordingSink } from '../recording-sink.ts';
import type { EventRequest } from '../transport.ts';
import { ProcessConnection } from './process-connection.ts';

const WELL: SandboxExit = { code: 0, signal: null, outOfMemory: false };

interface World {
  readonly connection: ProcessConnection;
  /** The program's end. */
  readonly program: Duplex;
  readonly exit: (exit: SandboxExit) => void;
  readonly events: string[];
}

function open(): World {
  const [stdio, program] = duplexPair();
  const exited = Promise.withResolvers<SandboxExit>();
  const events: string[] = [];
  const connection = new ProcessConnection(stdio, exited.promise, {
    onClosed: () => events.push('closed'),
  });
  return { connection, program, exit: exited.resolve, events };
}

function request(body: EventRequest['body'] = Buffer.from('payload')): EventRequest {
  return { kind: 'event', requestId: '1-a', deadlineMs: 0, qualifier: 'LATEST', versionId: 'LATEST', body };
}

for (const first of ['stdout', 'process'] as const) {
  test(`an answer is whole where ${first} ends first`, async () => {
    const { connection, program, exit, events } = open();
    const sink = new RecordingSink();
    connection.exchange(request(), sink);
    const ends = { stdout: () => program.end('answer'), process: () => exit(WELL) };
    ends[first]();
    // Both channels have been read by then.
    await new Promise(setImmediate);
    assert.deepEqual(sink.calls, []);
    ends[first === 'stdout' ? 'process' : 'stdout']();
    await connection.settled;
    assert.deepEqual([events, sink.calls, sink.text()], [['closed'], ['head', 'data', 'end'], 'answer']);
    assert.deepEqual(sink.head, { status: 200, rawHeaders: [] });
  });
}

test('the program gets one line of variables and its payload to the end', async () => {
  const { connection, program } = open();
  connection.exchange(request(), new RecordingSink());
  let text = '';
  for await (const chunk of program) text += String(chunk);
  const [line, payload] = text.split('\n');
  assert.equal(payload, 'payload');
  assert.equal(
    line,
    "METHOD='POST'; ROUTE='/invoke'; REQUEST_URL='/invoke'; export METHOD ROUTE REQUEST_URL",
  );
});

test('6 any other end breaks the exchange, with or without an answer', async () => {
  for (const exit of [{ ...WELL, code: 3 }, { ...WELL, code: null, signal: 'SIGKILL' } as const]) {
    const world = open();
    const sink = new RecordingSink();
    world.connection.exchange(request(), sink);
    world.program.end('an answer that does not count');
    world.exit(exit);
    await sink.ended;
    assert.deepEqual([sink.calls, sink.failure?.kind], [['failure'], 'broken']);
  }
  const world = open();
  const sink = new RecordingSink();
  world.connection.exchange(request(), sink);
  world.connection.close();
  await sink.ended;
  assert.equal(sink.failure?.kind, 'broken');
});

test('a caller that breaks off in its body starts nothing', async () => {
  const { connection, program } = open();
  const body = new PassThrough();
  const sink = new RecordingSink();
  connection.exchange(request(body), sink);
  body.destroy();
  await sink.ended;
  assert.ok(sink.failure?.kind === 'reported' && sink.failure.error.fatal);
  assert.equal(program.readableLength, 0);
});
