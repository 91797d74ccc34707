import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test, type TestContext } from 'node:test';
import type { ExchangeFailure, InstanceRequest, ResponseHead, ResponseSink } from '../transport.ts';
import {
  DATA_BYTES_MAX,
  decodeData,
  decodeHeadAndBody,
  encodeCredit,
  encodeDataPrefix,
  encodeFrame,
  encodeJsonFrame,
  FRAME,
  FrameReader,
  STREAM_WINDOW_BYTES,
} from './frame.ts';
import { LinkConnection } from './link-connection.ts';
import { SAMPLE_SPECIALIZATION } from './sample-specialization.ts';

/** Both ends of a link: the daemon's connection, ready to serve, and the raw socket on which the test plays the runtime. */
interface Pair {
  readonly link: LinkConnection;
  readonly runtime: Socket;
  readonly closed: Promise<unknown>;
}

async function openPair(
  t: TestContext,
  onFrame: (type: number, stream: number, payload: Buffer, runtime: Socket) => void,
): Promise<Pair> {
  const directory = await mkdtemp(join(tmpdir(), 'thaw-link-'));
  t.after(() => rm(directory, { recursive: true }));
  const path = join(directory, 's');
  const ready = Promise.withResolvers<Pair>();
  const closed = Promise.withResolvers<unknown>();
  const server = createServer((socket) => {
    server.close();
    const link: LinkConnection = new LinkConnection(socket, {
      onHello: () => link.specialize(SAMPLE_SPECIALIZATION),
      onInitializing: () => undefined,
      onReady: () => ready.resolve({ link, runtime, closed: closed.promise }),
      onStartFailed: () => undefined,
      onLog: () => undefined,
      onClosed: closed.resolve,
    });
    t.after(() => link.close());
  });
  await new Promise<void>((resolve) => {
    server.listen(path, resolve);
  });
  const runtime = connect(path);
  const reader = new FrameReader((type, stream, payload) => {
    if (type === FRAME.specialize) runtime.write(encodeJsonFrame(FRAME.ready, 0, { handler: 'event' }));
    else onFrame(type, stream, payload, runtime);
  });
  runtime.on('data', (chunk: Buffer) => reader.push(chunk));
  runtime.write(encodeJsonFrame(FRAME.hello, 0, { protocol: 1, runtime: 'test', version: '1', pid: 1 }));
  return ready.promise;
}

function eventRequest(body: Buffer | Readable): InstanceRequest {
  return { kind: 'event', requestId: '1-a-b', deadlineMs: 1, qualifier: 'LATEST', versionId: 'LATEST', body };
}

interface Outcome {
  readonly head: ResponseHead | undefined;
  readonly body: Buffer;
  readonly failure: ExchangeFailure | undefined;
}

function run(link: LinkConnection, request: InstanceRequest): Promise<Outcome> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let head: ResponseHead | undefined;
    const sink: ResponseSink = {
      onHead: (given) => {
        head = given;
      },
      onData: (chunk) => {
        chunks.push(Buffer.from(chunk));
        return true;
      },
      onEnd: () => resolve({ head, body: Buffer.concat(chunks), failure: undefined }),
      onFailure: (failure) => resolve({ head, body: Buffer.concat(chunks), failure }),
      onLog: () => undefined,
    };
    link.exchange(request, sink);
  });
}

/** A runtime that sends every body back, and checks that the daemon keeps to the window while it does. */
function echo(): (type: number, stream: number, payload: Buffer, runtime: Socket) => void {
  const streams = new Map<
    number,
    { received: Buffer[]; window: number; credit: number; send?: () => void }
  >();
  return (type, stream, payload, runtime) => {
    const state = streams.get(stream) ?? {
      received: [],
      window: STREAM_WINDOW_BYTES,
      credit: STREAM_WINDOW_BYTES,
    };
    streams.set(stream, state);
    if (type === FRAME.credit) {
      state.credit += payload.readUInt32BE(0);
      state.send?.();
      return;
    }
    const { body, isEnd } = type === FRAME.request ? decodeHeadAndBody(payload) : decodeData(payload);
    state.window -= body.length;
    assert.ok(state.window >= 0, 'the daemon sent more than the window');
    state.received.push(Buffer.from(body));
    if (body.length > 0 && !isEnd) {
      state.window += body.length;
      runtime.write(encodeCredit(stream, body.length));
    }
    if (!isEnd) return;
    const answer = Buffer.concat(state.received);
    let sent = 0;
    runtime.write(encodeFrame(FRAME.response, stream, Buffer.from('\0\0\0\0\x02{}', 'latin1')));
    state.send = (): void => {
      while (state.credit > 0 || sent === answer.length) {
        const piece = answer.subarray(sent, sent + Math.min(state.credit, DATA_BYTES_MAX));
        sent += piece.length;
        state.credit -= piece.length;
        const isLast = sent === answer.length;
        runtime.write(encodeDataPrefix(stream, piece.length, isLast));
        runtime.write(piece);
        if (isLast) {
          delete state.send;
          return;
        }
      }
    };
    state.send();
  };
}

function pattern(length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, at) => (at * 31 + (at >> 8)) & 0xff));
}

test('bodies of every size come back as they went, whole and streamed, side by side', async (t) => {
  const { link } = await openPair(t, echo());
  const sizes = [0, 1, 65_535, 65_536, 65_537, STREAM_WINDOW_BYTES, STREAM_WINDOW_BYTES + 1, 3_000_000];
  const outcomes = await Promise.all(
    sizes.flatMap((size) => [
      run(link, eventRequest(pattern(size))),
      run(link, eventRequest(Readable.from(slices(pattern(size), 50_000)))),
    ]),
  );
  outcomes.forEach((outcome, index) => {
    const size = sizes[Math.floor(index / 2)] ?? 0;
    assert.equal(outcome.failure, undefined);
    assert.deepEqual(outcome.head, { status: 200, rawHeaders: [] });
    assert.ok(outcome.body.equals(pattern(size)), `a body of ${size} bytes was changed`);
  });
});

function* slices(bytes: Buffer, size: number): Iterable<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

test('a reader that pauses holds the runtime back to one window', async (t) => {
  let credited = 0;
  const { link, runtime } = await openPair(t, (type, stream, payload) => {
    if (type === FRAME.credit) credited += payload.readUInt32BE(0);
    if (type !== FRAME.request) return;
    runtime.write(encodeFrame(FRAME.response, stream, Buffer.from('\0\0\0\0\x02{}', 'latin1')));
    for (let sent = 0; sent < STREAM_WINDOW_BYTES; sent += DATA_BYTES_MAX) {
      runtime.write(encodeDataPrefix(stream, DATA_BYTES_MAX, false));
      runtime.write(Buffer.alloc(DATA_BYTES_MAX));
    }
  });
  const received = Promise.withResolvers<void>();
  let bytes = 0;
  const exchange = link.exchange(eventRequest(Buffer.alloc(0)), {
    onHead: () => undefined,
    onData: (chunk) => {
      bytes += chunk.length;
      if (bytes === STREAM_WINDOW_BYTES) received.resolve();
      return false;
    },
    onEnd: () => undefined,
    onFailure: () => undefined,
    onLog: () => undefined,
  });
  await received.promise;
  assert.equal(credited, 0);
  const grant = new Promise<void>((resolve) => {
    runtime.on('data', () => {
      if (credited > 0) resolve();
    });
  });
  exchange.resume();
  await grant;
  assert.equal(credited, STREAM_WINDOW_BYTES);
});

test('an error of the handler ends its own exchange only', async (t) => {
  const { link } = await openPair(t, (type, stream, _payload, runtime) => {
    if (type !== FRAME.request) return;
    if (stream === 1) {
      const error = { errorType: 'E', errorMessage: 'm', stackTrace: [], handled: true };
      runtime.write(encodeJsonFrame(FRAME.error, stream, error));
    } else {
      runtime.write(encodeFrame(FRAME.response, stream, Buffer.from('\x01\0\0\0\x02{}ok', 'latin1')));
    }
  });
  const [failed, fine] = await Promise.all([
    run(link, eventRequest(pattern(3))),
    run(link, eventRequest(pattern(3))),
  ]);
  assert.deepEqual(failed.failure, {
    kind: 'reported',
    error: { errorType: 'E', errorMessage: 'm', stackTrace: [], handled: true, fatal: false },
  });
  assert.equal(fine.body.toString(), 'ok');
});

test('a runtime that dies in a hook has failed it, and is known to be gone before the hook ends', async (t) => {
  const { link, closed } = await openPair(t, (type, _stream, _payload, runtime) => {
    if (type === FRAME.hook) runtime.destroy();
  });
  const told: string[] = [];
  void closed.then(() => told.push('closed'));
  await new Promise<void>((resolve) => {
    link.runHook('preFreeze', (error) => {
      // Promises are told in order, so this is behind the news of the end if that came first.
      void Promise.resolve().then(() => {
        told.push(error?.errorType ?? 'fine');
        resolve();
      });
    });
  });
  assert.deepEqual(told, ['closed', 'ProcessExited']);
});

const VIOLATIONS: Readonly<Record<string, Buffer>> = {
  'an unknown type': Buffer.from('000000057f00000001', 'hex'),
  'a length too small': Buffer.from('000000040100000000', 'hex'),
  'a length too large': Buffer.from('ffffffff1100000001', 'hex'),
  'a second hello': encodeJsonFrame(FRAME.hello, 0, { protocol: 1, runtime: 'x', version: '1', pid: 1 }),
  'an answer before its head': encodeFrame(FRAME.data, 1, Buffer.from('\0x', 'latin1')),
  'a head longer than its frame': encodeFrame(FRAME.response, 1, Buffer.from('\0\0\0\0\x09{}', 'latin1')),
  'a head that is no JSON': encodeFrame(FRAME.response, 1, Buffer.from('\0\0\0\0\x02{{', 'latin1')),
  'more credit than the window': encodeCredit(1, STREAM_WINDOW_BYTES),
  'a log from nowhere': encodeFrame(FRAME.log, 0, Buffer.from('\x07x', 'latin1')),
};

for (const [what, frame] of Object.entries(VIOLATIONS)) {
  test(`${what} breaks the link and fails what is open`, async (t) => {
    const { link, closed } = await openPair(t, (type, _stream, _payload, runtime) => {
      if (type === FRAME.request) runtime.write(frame);
    });
    const outcome = await run(link, eventRequest(pattern(10)));
    assert.equal(outcome.failure?.kind, 'broken');
    assert.equal((await closed) instanceof Error, true);
  });
}
