import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { PassThrough, type Readable } from 'node:stream';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { AsyncTask, DueTask } from '../../model/async-task.ts';
import type { Blobs } from '../../store/blobs.ts';
import type { GivenBytes, Queue } from '../../store/queue.ts';

/** Up to this size payloads and results are kept with their task; larger ones are blobs. */
export const INLINE_BYTES_MAX = 64 * 1024;
/** The result of one task. */
export const RESULT_BYTES_MAX = 1024 * 1024 * 1024;

/** Where a task's bytes are. */
type Bytes = Pick<AsyncTask, 'seq' | 'taskId' | 'payload' | 'result'>;

/** Payloads and results of tasks, wherever they are. */
export class ByteStore {
  readonly #queue: Queue;
  readonly #blobs: Blobs;

  constructor(queue: Queue, blobs: Blobs) {
    this.#queue = queue;
    this.#blobs = blobs;
  }

  /** Reads a body of at most `bytesMax` to its end. Rejects with PAYLOAD_TOO_LARGE, BODY_TRUNCATED, STORE_FAILED. */
  async takeIn(source: Buffer | Readable, bytesMax: number): Promise<GivenBytes> {
    if (Buffer.isBuffer(source)) {
      if (source.length > bytesMax) throw tooLarge(bytesMax);
      if (source.length <= INLINE_BYTES_MAX) return { bytes: source };
      return this.#put(source, bytesMax);
    }
    const first: Buffer[] = [];
    let size = 0;
    const iterator: AsyncIterator<unknown> = source.iterator({ destroyOnReturn: false });
    for (;;) {
      const { done, value } = await iterator.next().catch(truncated);
      if (done === true) return { bytes: Buffer.concat(first, size) };
      const chunk = bufferOf(value);
      first.push(chunk);
      size += chunk.length;
      if (size > INLINE_BYTES_MAX) break;
    }
    const rest = new PassThrough();
    const stored = this.#put(rest, bytesMax);
    // Whoever fails first, the reader or the writer, ends both.
    stored.catch(() => rest.destroy());
    const writing = pour(first, iterator, rest).catch((error: unknown) => {
      rest.destroy(ThawError.from(error, 'taking in a payload'));
    });
    try {
      return await stored;
    } finally {
      // The reader has let go of the source: its owner may drain it.
      await writing;
    }
  }

  /** A place for a result whose size nobody knows yet. */
  newResult(onDrain: () => void): ResultIntake {
    return new ResultIntake((stream) => this.#put(stream, RESULT_BYTES_MAX), onDrain);
  }

  async payload(task: DueTask): Promise<Buffer> {
    return this.#read(task, 'payload');
  }

  /** At most `bytesMax`; undefined where there are more, or none. */
  async whole(task: AsyncTask, which: 'payload' | 'result', bytesMax: number): Promise<Buffer | undefined> {
    const kept = task[which];
    return kept === undefined || kept.size > bytesMax ? undefined : this.#read(task, which);
  }

  /** All of it; undefined where the task has no result. */
  async open(task: AsyncTask, which: 'payload' | 'result'): Promise<Buffer | Readable | undefined> {
    const kept = task[which];
    if (kept === undefined) return undefined;
    return kept.blob === undefined ? this.#read(task, which) : createReadStream(this.#pathOf(kept.blob));
  }

  async #read(task: Bytes, which: 'payload' | 'result'): Promise<Buffer> {
    const blob = task[which]?.blob;
    if (blob === undefined) return Buffer.from((await this.#queue.bytes(task.seq, which)) ?? []);
    return readFile(this.#pathOf(blob)).catch((cause: unknown) => {
      throw new ThawError('STORE_FAILED', `could not read the ${which} of task '${task.taskId}'`, { cause });
    });
  }

  #pathOf(blob: string): string {
    const path = this.#blobs.path(blob);
    if (path === undefined) throw new ThawError('STORE_FAILED', `the blob ${blob} is missing from the store`);
    return path;
  }

  async #put(source: Buffer | Readable, bytesMax: number): Promise<GivenBytes> {
    const { digest, size } = await this.#blobs.put(source, bytesMax);
    return { blob: digest, size };
  }
}

/** What a function returns, as it comes: in memory while it is small, from then on in a blob. */
export class ResultIntake {
  readonly #put: (stream: Readable) => Promise<GivenBytes>;
  readonly #onDrain: () => void;
  #chunks: Buffer[] = [];
  #size = 0;
  #stream: PassThrough | undefined;
  #stored: Promise<GivenBytes> | undefined;

  constructor(put: (stream: Readable) => Promise<GivenBytes>, onDrain: () => void) {
    this.#put = put;
    this.#onDrain = onDrain;
  }

  /** False asks for a pause until `onDrain`. */
  write(chunk: Buffer): boolean {
    this.#size += chunk.length;
    if (this.#stream !== undefined) return this.#stream.destroyed || this.#stream.write(chunk);
    this.#chunks.push(chunk);
    if (this.#size <= INLINE_BYTES_MAX) return true;
    const stream = new PassThrough();
    stream.on('drain', this.#onDrain);
    // The failure is that of `end`; here only nobody must wait for a drain that never comes.
    stream.on('error', this.#onDrain);
    this.#stream = stream;
    this.#stored = this.#put(stream);
    this.#stored.catch(() => stream.destroy(new Error('the result cannot be kept')));
    const held = Buffer.concat(this.#chunks);
    this.#chunks = [];
    return stream.write(held);
  }

  async end(): Promise<GivenBytes> {
    if (this.#stored === undefined) return { bytes: Buffer.concat(this.#chunks) };
    this.#stream?.end();
    return this.#stored;
  }

  /** The first bytes, while they are still in memory: the text of a short failure. */
  get beginning(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  discard(): void {
    this.#chunks = [];
    this.#stored?.catch(() => undefined);
    this.#stream?.destroy(new Error('the result is not wanted'));
  }
}

async function pour(
  first: readonly Buffer[],
  rest: AsyncIterator<unknown>,
  into: PassThrough,
): Promise<void> {
  try {
    for (const chunk of first) await write(into, chunk);
    for (;;) {
      const { done, value } = await rest.next().catch(truncated);
      if (done === true) break;
      if (into.destroyed) return;
      await write(into, bufferOf(value));
    }
    into.end();
  } finally {
    await rest.return?.();
  }
}

async function write(stream: PassThrough, chunk: Buffer): Promise<void> {
  if (stream.destroyed || stream.write(chunk)) return;
  await new Promise<void>((resolve) => {
    const go = (): void => {
      stream.off('drain', go);
      stream.off('close', go);
      resolve();
    };
    stream.once('drain', go);
    stream.once('close', go);
  });
}

function bufferOf(chunk: unknown): Buffer {
  if (Buffer.isBuffer(chunk)) return chunk;
  return chunk instanceof Uint8Array ? Buffer.from(chunk) : Buffer.from(String(chunk));
}

function truncated(cause: unknown): never {
  if (cause instanceof ThawError) throw cause;
  throw new ThawError('BODY_TRUNCATED', 'the connection was closed before the whole body had come', {
    cause,
  });
}

function tooLarge(bytesMax: number): ThawError {
  return new ThawError('PAYLOAD_TOO_LARGE', `the payload is larger than ${bytesMax} bytes`, {
    details: { bytesMax },
  });
}
