import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { FLOOD_BYTES, transportContract, type TransportWorld } from '../transport-contract.ts';
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
  HEAD_PREFIX_BYTES,
  STREAM_WINDOW_BYTES,
} from './frame.ts';
import { LinkConnection } from './link-connection.ts';
import { SAMPLE_SPECIALIZATION } from './sample-specialization.ts';

transportContract('link', async (t): Promise<TransportWorld> => {
  const { link, runtime } = await openLink(t);
  return {
    transport: link,
    request: (behaviour, body) => ({
      kind: 'http',
      requestId: '1-a',
      deadlineMs: 1,
      qualifier: 'LATEST',
      versionId: 'LATEST',
      method: 'POST',
      url: `/${behaviour}`,
      base: '',
      rawHeaders: [],
      remoteAddress: '127.0.0.1',
      scheme: 'http',
      body,
    }),
    release: () => runtime.release(),
    held: () => runtime.held(),
    kill: () => runtime.socket.destroy(),
  };
});

/** One invocation as a runtime sees it: what it has to send, and how much of that the daemon takes now. */
interface Stream {
  readonly behaviour: string;
  readonly pending: Buffer[];
  window: number;
  floodLeft: number;
  isInputEnded: boolean;
  isHeld: boolean;
  hasHead: boolean;
  isEnded: boolean;
}

/** The other end of the link, which keeps to the protocol and does nothing else. */
class ScriptedRuntime {
  readonly socket: Socket;
  readonly #streams = new Map<number, Stream>();
  #cancelled = 0;

  constructor(path: string) {
    this.socket = connect(path);
    const reader = new FrameReader((type, id, payload) => this.#onFrame(type, id, payload));
    this.socket.on('data', (chunk: Buffer) => reader.push(chunk));
    this.socket.write(
      encodeJsonFrame(FRAME.hello, 0, { protocol: 1, runtime: 'test', version: '1', pid: 1 }),
    );
  }

  held(): { open: number; cancelled: number } {
    const held = [...this.#streams.values()].filter(({ behaviour }) => behaviour === 'hold');
    return { open: held.length, cancelled: this.#cancelled };
  }

  release(): void {
    for (const [id, stream] of this.#streams) {
      stream.isHeld = false;
      this.#pump(id, stream);
    }
  }

  #onFrame(type: number, id: number, payload: Buffer): void {
    if (type === FRAME.specialize) {
      this.socket.write(encodeJsonFrame(FRAME.ready, 0, { handler: 'http' }));
    } else if (type === FRAME.request) {
      this.#onRequest(id, payload);
    } else if (type === FRAME.cancel) {
      this.#cancelled += 1;
    } else {
      const stream = this.#streams.get(id);
      if (stream === undefined) return;
      if (type === FRAME.credit) stream.window += payload.readUInt32BE(0);
      if (type === FRAME.data) {
        const { body, isEnd } = decodeData(payload);
        if (body.length > 0) stream.pending.push(Buffer.from(body));
        stream.isInputEnded = isEnd;
      }
      this.#pump(id, stream);
    }
  }

  #onRequest(id: number, payload: Buffer): void {
    const { head, body, isEnd } = decodeHeadAndBody(payload);
    const { url }: { url: string } = JSON.parse(head);
    const behaviour = url.slice(1);
    const stream: Stream = {
      behaviour,
      pending: body.length > 0 ? [Buffer.from(body)] : [],
      window: STREAM_WINDOW_BYTES,
      floodLeft: behaviour === 'flood' ? FLOOD_BYTES : 0,
      isInputEnded: isEnd,
      isHeld: behaviour === 'hold',
      hasHead: false,
      isEnded: false,
    };
    this.#streams.set(id, stream);
    this.#pump(id, stream);
  }

  #pump(id: number, stream: Stream): void {
    if (stream.isHeld || stream.isEnded) return;
    if (!stream.hasHead) {
      stream.hasHead = true;
      const head = Buffer.from('{"status":200,"headers":[]}');
      const prefix = Buffer.alloc(HEAD_PREFIX_BYTES);
      prefix.writeUInt32BE(head.length, 1);
      this.socket.write(encodeFrame(FRAME.response, id, Buffer.concat([prefix, head])));
    }
    while (stream.window > 0) {
      const next = this.#next(id, stream);
      if (next === undefined) break;
      stream.window -= next.length;
      this.#send(id, next, false);
    }
    if (stream.isInputEnded && stream.pending.length === 0 && stream.floodLeft === 0) {
      stream.isEnded = true;
      this.#send(id, Buffer.alloc(0), true);
    }
  }

  /** As much as fits; what came from the daemon is granted anew. */
  #next(id: number, stream: Stream): Buffer | undefined {
    const fitting = Math.min(DATA_BYTES_MAX, stream.window);
    if (stream.floodLeft > 0) {
      const bytes = Math.min(fitting, stream.floodLeft);
      stream.floodLeft -= bytes;
      return Buffer.alloc(bytes, 'x');
    }
    const whole = stream.pending.shift();
    if (whole === undefined) return undefined;
    const part = whole.subarray(0, fitting);
    if (part.length < whole.length) stream.pending.unshift(whole.subarray(fitting));
    this.socket.write(encodeCredit(id, part.length));
    return part;
  }

  #send(id: number, body: Buffer, isEnd: boolean): void {
    this.socket.write(encodeDataPrefix(id, body.length, isEnd));
    this.socket.write(body);
  }
}

async function openLink(t: TestContext): Promise<{ link: LinkConnection; runtime: ScriptedRuntime }> {
  const directory = await mkdtemp(join(tmpdir(), 'thaw-link-'));
  t.after(() => rm(directory, { recursive: true }));
  const path = join(directory, 's');
  const ready = Promise.withResolvers<LinkConnection>();
  const server = createServer((socket) => {
    server.close();
    const link: LinkConnection = new LinkConnection(socket, {
      onHello: () => link.specialize(SPECIALIZATION),
      onInitializing: () => undefined,
      onReady: () => ready.resolve(link),
      onStartFailed: () => undefined,
      onLog: () => undefined,
      onClosed: () => undefined,
    });
    t.after(() => link.close());
  });
  await new Promise<void>((resolve) => {
    server.listen(path, resolve);
  });
  const runtime = new ScriptedRuntime(path);
  t.after(() => runtime.socket.destroy());
  return { link: await ready.promise, runtime };
}

const SPECIALIZATION = { ...SAMPLE_SPECIALIZATION, handlerType: 'http', concurrency: 20 } as const;
