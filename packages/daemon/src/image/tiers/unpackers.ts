import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Urgency } from './chunk-tier.ts';
import { unpackChunks, type PackedChunk, type PlainUse, type UnpackedChunks } from './unpack-chunks.ts';
import { unpackRequest } from './unpack-request.ts';
import type { UnpackAnswer, UnpackThreadData } from './unpack-thread.ts';

/**
 * Inflates the chunks of a piece of a blob, compares them and does with them what `use` says. `packed` is given away: its
 * memory may be gone afterwards, unless it is shared. Rejects only when it cannot work at all.
 */
export type Unpack = (
  packed: Uint8Array,
  chunks: readonly PackedChunk[],
  how: UnpackHow,
) => Promise<UnpackedChunks>;

export interface UnpackHow extends PlainUse {
  readonly urgency: Urgency;
}

const FILE = new URL('unpack-thread.ts', import.meta.url);
const THREADS_MAX = 4;
/** Pieces that a thread has at once: the one it works on and one that lies ready. */
const PIECES_AT_ONCE = 2;

/** In the calling thread: for little, and for whoever has thousands of tiers. */
export const unpackHere: Unpack = (packed, chunks, use) => Promise.resolve(unpackChunks(packed, chunks, use));

interface Piece {
  readonly packed: Uint8Array;
  readonly chunks: readonly PackedChunk[];
  readonly use: PlainUse;
  readonly resolve: (answer: UnpackedChunks) => void;
  readonly reject: (error: ThawError) => void;
}

interface Thread {
  readonly worker: Worker;
  /** Answers come in the order of the questions. */
  readonly pieces: Piece[];
}

/**
 * Threads that unpack, so that neither those who answer the kernel nor those who fetch wait for it. What somebody waits
 * for goes before what is fetched ahead; how much waits is bounded by the slots of those who fetch.
 */
export class Unpackers {
  readonly #threads: Thread[] = [];
  readonly #waiting: Record<Urgency, Piece[]> = { demand: [], prefetch: [] };
  readonly #data: UnpackThreadData;
  #isClosed = false;

  constructor(data: UnpackThreadData) {
    this.#data = data;
  }

  /** Threads take a while to start; whoever knows that they will be needed says so. */
  start(): void {
    const count = Math.min(THREADS_MAX, availableParallelism());
    while (this.#threads.length < count && !this.#isClosed) this.#threads.push(this.#startThread());
  }

  readonly unpack: Unpack = (packed, chunks, { urgency, ...use }) => {
    if (this.#isClosed) return Promise.reject(ended());
    return new Promise((resolve, reject) => {
      this.#waiting[urgency].push({ packed, chunks, use, resolve, reject });
      this.start();
      this.#next();
    });
  };

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const pieces of Object.values(this.#waiting))
      for (const { reject } of pieces.splice(0)) reject(ended());
    await Promise.all(this.#threads.map(({ worker }) => worker.terminate()));
  }

  #startThread(): Thread {
    const worker = new Worker(FILE, { workerData: this.#data });
    const thread: Thread = { worker, pieces: [] };
    worker.unref();
    worker.on('message', (answer: UnpackAnswer) => {
      thread.pieces.shift()?.resolve(answer);
      if (thread.pieces.length === 0) worker.unref();
      this.#next();
    });
    // An error is followed by the end.
    worker.on('error', () => undefined);
    worker.once('exit', () => {
      this.#threads.splice(this.#threads.indexOf(thread), 1);
      for (const { reject } of thread.pieces.splice(0)) reject(ended());
      if (this.#isClosed || this.#waiting.demand.length + this.#waiting.prefetch.length === 0) return;
      this.start();
      this.#next();
    });
    return thread;
  }

  #next(): void {
    for (;;) {
      const thread = this.#threads.toSorted((one, other) => one.pieces.length - other.pieces.length)[0];
      if (thread === undefined || thread.pieces.length >= PIECES_AT_ONCE) return;
      const piece = this.#waiting.demand.shift() ?? this.#waiting.prefetch.shift();
      if (piece === undefined) return;
      if (thread.pieces.length === 0) thread.worker.ref();
      thread.pieces.push(piece);
      const request = unpackRequest(piece.packed, piece.chunks, piece.use);
      const { buffer } = piece.packed;
      const given = buffer instanceof ArrayBuffer ? [buffer] : [];
      thread.worker.postMessage(request, [request.places.buffer, ...given]);
    }
  }
}

function ended(): ThawError {
  return new ThawError('STORE_FAILED', 'a thread that unpacks pieces of images ended');
}
