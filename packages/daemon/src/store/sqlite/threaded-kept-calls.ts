import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../../base/clock.ts';
import type { KeptAnswer, KeptCalls, KeptInput } from '../kept-calls.ts';
import { CALLS_FILE, SqliteKeptCalls, type KeptWrite } from './sqlite-kept-calls.ts';

/** What waits for the thread; more is refused. */
const WAITING_BYTES_MAX = 64 * 1024 * 1024;
const WAITING_MAX = 10_000;
const HEAP_MB_MAX = 128;
/** What a message takes besides its bytes. */
const MESSAGE_BYTES = 1024;

export interface KeptWriterData {
  readonly directory: string;
}

export type KeptWriterMessage =
  | { readonly kind: 'write'; readonly number: number; readonly write: KeptWrite }
  | { readonly kind: 'close' };

export interface KeptWriterReply {
  readonly numbers: readonly number[];
  readonly error: unknown;
}

interface Waiting {
  readonly bytes: number;
  readonly write: KeptWrite;
  readonly resolve: () => void;
  readonly reject: (error: ThawError) => void;
}

/**
 * `KeptCalls` whose writes are another thread's work. Neither the thread nor the file is there before the first call
 * that is to be kept or looked for: most platforms have none.
 */
export class ThreadedKeptCalls implements KeptCalls {
  readonly #directory: string;
  readonly #clock: Clock;
  readonly #waiting = new Map<number, Waiting>();
  #waitingBytes = 0;
  #sent = 0;
  #reader: SqliteKeptCalls | undefined;
  #writer: Worker | undefined;
  #isClosed = false;

  constructor(directory: string, clock: Clock) {
    this.#directory = directory;
    this.#clock = clock;
  }

  keepInput(input: KeptInput): Promise<void> {
    const size = (input.bytes?.length ?? 0) + (input.http?.length ?? 0);
    return this.#send({ kind: 'input', input: { ...input, ...ownBytes('bytes', input.bytes) } }, size);
  }

  keepAnswer(answer: KeptAnswer): Promise<void> {
    const size = answer.body?.length ?? 0;
    return this.#send({ kind: 'answer', answer: { ...answer, ...ownBytes('body', answer.body) } }, size);
  }

  /** One that is not written yet is found too. Throws STORE_FAILED. */
  input(requestId: string): KeptInput | undefined {
    for (const { write } of [...this.#waiting.values()].toReversed()) {
      if (write.kind === 'input' && write.input.requestId === requestId) return write.input;
    }
    return this.#open().input(requestId);
  }

  answer(scope: string): KeptAnswer | undefined {
    return this.#open().answer(scope);
  }

  forget(functionName: string): void {
    if (this.#writer === undefined && !existsSync(join(this.#directory, CALLS_FILE))) return;
    // Where the disk refuses, what was kept goes with its time.
    this.#send({ kind: 'forget', functionName }, 0).catch(() => undefined);
  }

  /** Settles when everything is written and the thread has ended. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#reader?.close();
    const writer = this.#writer;
    if (writer === undefined) return;
    const ended = once(writer, 'exit');
    const message: KeptWriterMessage = { kind: 'close' };
    writer.postMessage(message, []);
    await ended;
  }

  #open(): SqliteKeptCalls {
    if (this.#isClosed) throw new ThawError('SHUTTING_DOWN', 'the platform is being stopped');
    this.#reader ??= new SqliteKeptCalls(this.#directory, () => this.#clock.now());
    return this.#reader;
  }

  #send(write: KeptWrite, size: number): Promise<void> {
    if (this.#isClosed) {
      return Promise.reject(new ThawError('SHUTTING_DOWN', 'the platform is being stopped'));
    }
    const bytes = MESSAGE_BYTES + size;
    if (this.#waiting.size >= WAITING_MAX || this.#waitingBytes + bytes > WAITING_BYTES_MAX) {
      return Promise.reject(new ThawError('STORE_FAILED', 'more calls are to be kept than the disk takes'));
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#sent += 1;
    this.#waitingBytes += bytes;
    this.#waiting.set(this.#sent, { bytes, write, resolve, reject });
    const message: KeptWriterMessage = { kind: 'write', number: this.#sent, write };
    this.#writer ??= this.#startWriter();
    this.#writer.postMessage(message, []);
    return promise;
  }

  #startWriter(): Worker {
    const data: KeptWriterData = { directory: this.#directory };
    const writer = new Worker(new URL('kept-calls-writer.ts', import.meta.url), {
      workerData: data,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX },
    });
    writer.on('message', ({ numbers, error }: KeptWriterReply) => {
      for (const number of numbers) this.#settle(number, error);
    });
    let cause: unknown;
    writer.on('error', (error) => (cause = error));
    writer.on('exit', () => {
      if (this.#writer === writer) this.#writer = undefined;
      for (const number of [...this.#waiting.keys()]) {
        this.#settle(number, cause ?? new Error('the thread that keeps calls has ended'));
      }
    });
    return writer;
  }

  #settle(number: number, cause: unknown): void {
    const waiting = this.#waiting.get(number);
    if (waiting === undefined) return;
    this.#waiting.delete(number);
    this.#waitingBytes -= waiting.bytes;
    if (cause === undefined) waiting.resolve();
    else waiting.reject(new ThawError('STORE_FAILED', 'could not keep a call', { cause }));
  }
}

/** In memory of their own: a message takes the whole of what its bytes are a part of. */
function ownBytes(name: string, bytes: Uint8Array | undefined): Record<string, Uint8Array> {
  return bytes === undefined ? {} : { [name]: new Uint8Array(bytes) };
}
