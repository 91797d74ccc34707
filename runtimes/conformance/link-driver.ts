/* oxlint-disable typescript/no-unsafe-type-assertion -- what a shim sends in JSON is compared by the cases. */
/**
 * The daemon's side of the link, written from docs/RUNTIMES.md alone and sharing no code with the daemon or a shim, so
 * that a mistake made in one place is not made in both. It starts a shim without a sandbox and checks the protocol on
 * every frame: order, sizes, windows, nothing after the end of a stream.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Specialization {
  readonly function: Readonly<Record<string, unknown>>;
  readonly [key: string]: unknown;
}

export interface ReportedError {
  readonly errorType: string;
  readonly errorMessage: string;
  readonly stackTrace: readonly unknown[];
  readonly handled: boolean;
  readonly fatal?: boolean;
}

export interface LogPiece {
  readonly source: 'stdout' | 'stderr';
  readonly text: string;
}

export interface StartFailure {
  readonly phase: string;
  readonly error: ReportedError;
}

const TYPES = {
  HELLO: 0x01,
  SPECIALIZE: 0x02,
  INITIALIZING: 0x03,
  READY: 0x04,
  START_FAILED: 0x05,
  HOOK: 0x06,
  HOOK_END: 0x07,
  LOADED: 0x09,
  PROCEED: 0x0a,
  REQUEST: 0x10,
  DATA: 0x11,
  CREDIT: 0x12,
  CANCEL: 0x13,
  RESPONSE: 0x14,
  ERROR: 0x15,
  LOG: 0x16,
} as const;

const WINDOW_BYTES = 262_144;
const DATA_BYTES_MAX = 65_536;
const LOG_BYTES_MAX = 32_768;
/** Nothing in the suite takes longer on a slow machine; a wait that does has failed. */
const WAIT_MS_MAX = 20_000;

/** What is known about one stream that the driver opened. */
export class Stream {
  head: Record<string, unknown> | undefined;
  readonly chunks: Buffer[] = [];
  readonly logs: LogPiece[] = [];
  error: ReportedError | undefined;
  isEnded = false;
  readonly number: number;
  /** Body bytes that the shim may still send. */
  receiveWindow = WINDOW_BYTES;
  sendWindow = WINDOW_BYTES;
  unsent: Buffer = Buffer.alloc(0);
  isEndQueued = false;
  isEndSent = false;

  constructor(number: number) {
    this.number = number;
  }

  get body(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

export class LinkDriver {
  readonly instanceLogs: LogPiece[] = [];
  hello: Record<string, unknown> | undefined;
  isLoaded = false;
  isInitializing = false;
  ready: string | undefined;
  startFailed: StartFailure | undefined;
  exitCode: number | string | undefined;
  /** What the process itself printed on descriptors 1 and 2. */
  native = '';
  readonly #streams = new Map<number, Stream>();
  readonly #directory: string;
  readonly #server: Server;
  readonly #child: ChildProcess;
  #socket: Socket | undefined;
  #received: Buffer = Buffer.alloc(0);
  #streamsOpened = 0;
  #violation: Error | undefined;
  #changed: (() => void)[] = [];

  private constructor(directory: string, server: Server, child: ChildProcess) {
    this.#directory = directory;
    this.#server = server;
    this.#child = child;
    server.on('connection', (socket) => this.#onConnection(socket));
    for (const output of [child.stdout, child.stderr]) {
      output?.on('data', (chunk: Buffer) => {
        this.native += chunk.toString();
      });
    }
    child.on('error', (error) => this.#violate(error));
    child.on('close', (code, signal) => {
      this.exitCode = code ?? signal ?? 'unknown';
      this.#notify();
    });
  }

  /** With `environment` for a shim that cannot set its own: it has that from the start, and is told the link by its arguments. */
  static async start(
    commandFor: (link: string) => readonly string[],
    cwd: string,
    environment?: Readonly<Record<string, string>>,
  ): Promise<LinkDriver> {
    const directory = await mkdtemp(join(tmpdir(), 'thaw-conformance-'));
    const path = join(directory, 'link');
    const server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(path, resolve);
    });
    const [program = '', ...args] = commandFor(path);
    const child = spawn(program, args, {
      cwd,
      env: {
        PATH: process.env['PATH'] ?? '',
        HOME: directory,
        LANG: 'C.UTF-8',
        ...(environment ?? { THAW_LINK: path }),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return new LinkDriver(directory, server, child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket?.destroy();
    if (this.exitCode === undefined && this.#child.pid !== undefined) {
      // A shim exits by itself when the link closes; one that does not has broken the contract.
      await this.waitFor(
        'the shim to exit after the link was closed',
        () => this.exitCode !== undefined,
      ).catch((error: unknown) => {
        this.#child.kill('SIGKILL');
        throw error;
      });
    }
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
    await rm(this.#directory, { recursive: true, force: true });
  }

  specialize(specialization: Specialization): void {
    this.#send(TYPES.SPECIALIZE, 0, Buffer.from(JSON.stringify(specialization)));
  }

  proceed(): void {
    this.#send(TYPES.PROCEED, 0, Buffer.alloc(0));
  }

  request(head: Readonly<Record<string, unknown>>, body: Buffer, isEnd: boolean): Stream {
    const stream = this.#open();
    const json = Buffer.from(JSON.stringify(head));
    // All that the window allows, as the daemon does: a runtime that takes it in one go must still give credit.
    const first = body.subarray(0, WINDOW_BYTES);
    const isWhole = isEnd && first.length === body.length;
    const prefix = Buffer.alloc(5);
    prefix.writeUInt8(isWhole ? 1 : 0, 0);
    prefix.writeUInt32BE(json.length, 1);
    stream.sendWindow -= first.length;
    stream.isEndSent = isWhole;
    this.#send(TYPES.REQUEST, stream.number, Buffer.concat([prefix, json, first]));
    if (!isWhole) this.data(stream, body.subarray(first.length), isEnd);
    return stream;
  }

  data(stream: Stream, body: Buffer, isEnd: boolean): void {
    stream.unsent = Buffer.concat([stream.unsent, body]);
    stream.isEndQueued ||= isEnd;
    this.#pump(stream);
  }

  cancel(stream: Stream): void {
    this.#send(TYPES.CANCEL, stream.number, Buffer.alloc(0));
  }

  hook(hook: string): Stream {
    const stream = this.#open();
    this.#send(TYPES.HOOK, stream.number, Buffer.from(JSON.stringify({ hook })));
    return stream;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Sends bytes as they are, for what the protocol does not allow. */
  sendRaw(bytes: Buffer): void {
    this.#socket?.write(bytes);
  }

  /** @throws when the shim broke the protocol, or the condition did not come true in time */
  async waitFor(what: string, isTrue: () => boolean): Promise<void> {
    const deadline = Date.now() + WAIT_MS_MAX;
    for (;;) {
      if (this.#violation !== undefined) throw this.#violation;
      if (isTrue()) return;
      const leftMs = deadline - Date.now();
      if (leftMs <= 0) throw new Error(`waited ${WAIT_MS_MAX} ms for ${what}\n${this.native}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#changed.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** As `waitFor`, and an exit of the shim ends the wait too. */
  async waitWhileAlive(what: string, isTrue: () => boolean): Promise<void> {
    await this.waitFor(what, () => isTrue() || this.exitCode !== undefined);
    assert.ok(isTrue(), `the shim exited with ${this.exitCode} before ${what}\n${this.native}`);
  }

  #open(): Stream {
    this.#streamsOpened += 1;
    const stream = new Stream(this.#streamsOpened);
    this.#streams.set(stream.number, stream);
    return stream;
  }

  #pump(stream: Stream): void {
    while (!stream.isEndSent && !stream.isEnded) {
      const bytes = Math.min(stream.unsent.length, DATA_BYTES_MAX, stream.sendWindow);
      const isEnd = stream.isEndQueued && bytes === stream.unsent.length;
      if (bytes === 0 && !isEnd) return;
      this.#send(
        TYPES.DATA,
        stream.number,
        Buffer.concat([Buffer.from([isEnd ? 1 : 0]), stream.unsent.subarray(0, bytes)]),
      );
      stream.unsent = stream.unsent.subarray(bytes);
      stream.sendWindow -= bytes;
      stream.isEndSent = isEnd;
    }
  }

  #send(type: number, stream: number, payload: Buffer): void {
    const header = Buffer.alloc(9);
    header.writeUInt32BE(payload.length + 5, 0);
    header.writeUInt8(type, 4);
    header.writeUInt32BE(stream, 5);
    this.#socket?.write(Buffer.concat([header, payload]));
  }

  #onConnection(socket: Socket): void {
    if (this.#socket !== undefined) return this.#violate(new Error('the shim connected twice'));
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      try {
        this.#onBytes(chunk);
      } catch (error) {
        this.#violate(error);
      }
      this.#notify();
    });
    // The shim may be gone in the middle of a write; its exit is what the tests look at.
    socket.on('error', () => {});
    socket.on('close', () => this.#notify());
  }

  #onBytes(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    while (this.#received.length >= 4) {
      const length = this.#received.readUInt32BE(0);
      assert.ok(length >= 5 && length <= 1_048_581, `a frame of length ${length}`);
      if (this.#received.length < 4 + length) return;
      const frame = this.#received.subarray(4, 4 + length);
      this.#received = this.#received.subarray(4 + length);
      this.#onFrame(frame.readUInt8(0), frame.readUInt32BE(1), frame.subarray(5));
    }
  }

  #onFrame(type: number, number: number, payload: Buffer): void {
    if (type === TYPES.LOG && number === 0) {
      this.instanceLogs.push(logPiece(payload));
      return;
    }
    if (number === 0) {
      this.#onInstanceFrame(type, payload);
      return;
    }
    const stream = this.#streams.get(number);
    assert.ok(stream !== undefined, `frame ${type} on stream ${number} that nobody opened`);
    if (type === TYPES.CREDIT && stream.isEnded) return;
    assert.ok(!stream.isEnded, `frame ${type} on stream ${number} after its end`);
    this.#onStreamFrame(type, stream, payload);
  }

  #onInstanceFrame(type: number, payload: Buffer): void {
    if (type === TYPES.HELLO) {
      assert.equal(this.hello, undefined, 'a second HELLO');
      this.hello = JSON.parse(payload.toString()) as Record<string, unknown>;
      return;
    }
    assert.ok(this.hello !== undefined, `frame ${type} before HELLO`);
    assert.ok(this.ready === undefined && this.startFailed === undefined, `frame ${type} after the start`);
    if (type === TYPES.LOADED) {
      assert.equal(payload.length, 0);
      assert.ok(!this.isLoaded && !this.isInitializing, 'a second LOADED, or a late one');
      this.isLoaded = true;
    } else if (type === TYPES.INITIALIZING) {
      assert.equal(payload.length, 0);
      this.isInitializing = true;
    } else if (type === TYPES.READY) {
      this.ready = (JSON.parse(payload.toString()) as { handler: string }).handler;
    } else if (type === TYPES.START_FAILED) {
      this.startFailed = JSON.parse(payload.toString()) as StartFailure;
    } else {
      assert.fail(`frame ${type} on stream 0`);
    }
  }

  #onStreamFrame(type: number, stream: Stream, payload: Buffer): void {
    switch (type) {
      case TYPES.LOG:
        stream.logs.push(logPiece(payload));
        return;
      case TYPES.CREDIT:
        assert.equal(payload.length, 4);
        stream.sendWindow += payload.readUInt32BE(0);
        assert.ok(stream.sendWindow <= WINDOW_BYTES, 'more credit than was used');
        this.#pump(stream);
        return;
      case TYPES.RESPONSE: {
        assert.equal(stream.head, undefined, 'a second RESPONSE');
        const bodyStart = 5 + payload.readUInt32BE(1);
        assert.ok(bodyStart <= payload.length, 'a head longer than its frame');
        stream.head = JSON.parse(payload.subarray(5, bodyStart).toString()) as Record<string, unknown>;
        this.#onBody(stream, payload.readUInt8(0), payload.subarray(bodyStart));
        return;
      }
      case TYPES.DATA:
        assert.ok(stream.head !== undefined, 'DATA before RESPONSE');
        assert.ok(payload.length - 1 <= DATA_BYTES_MAX, 'DATA of more than 65,536 bytes');
        this.#onBody(stream, payload.readUInt8(0), payload.subarray(1));
        return;
      case TYPES.ERROR:
        stream.error = JSON.parse(payload.toString()) as ReportedError;
        stream.isEnded = true;
        return;
      case TYPES.HOOK_END:
        stream.error = (JSON.parse(payload.toString()) as { error?: ReportedError }).error;
        stream.isEnded = true;
        return;
      default:
        assert.fail(`frame ${type} on stream ${stream.number}`);
    }
  }

  #onBody(stream: Stream, flags: number, body: Buffer): void {
    assert.ok(flags <= 1, `flags ${flags}`);
    stream.receiveWindow -= body.length;
    assert.ok(stream.receiveWindow >= 0, 'the window is overrun');
    if (body.length > 0) stream.chunks.push(Buffer.from(body));
    stream.isEnded = flags === 1;
    if (stream.isEnded || body.length === 0) return;
    stream.receiveWindow += body.length;
    const credit = Buffer.alloc(4);
    credit.writeUInt32BE(body.length);
    this.#send(TYPES.CREDIT, stream.number, credit);
  }

  #violate(thrown: unknown): void {
    this.#violation ??= thrown instanceof Error ? thrown : new Error(String(thrown));
    this.#notify();
  }

  #notify(): void {
    const changed = this.#changed;
    this.#changed = [];
    for (const wake of changed) wake();
  }
}

function logPiece(payload: Buffer): LogPiece {
  const source = payload.readUInt8(0);
  assert.ok(source === 1 || source === 2, `log source ${source}`);
  assert.ok(payload.length - 1 <= LOG_BYTES_MAX, `a LOG frame of ${payload.length - 1} bytes`);
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(payload.subarray(1));
  return { source: source === 1 ? 'stdout' : 'stderr', text };
}
