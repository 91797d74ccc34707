import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { ArrivedChunk, ChunkRef, PlacedChunk } from '../chunks/chunk-ref.ts';
import { ArrivalQueue } from './arrival-queue.ts';
import type { ChunkTier, GetOptions } from './chunk-tier.ts';
import { PieceMemory } from './piece-memory.ts';
import { piecesOf, spansOf, type Span } from './spans.ts';
import { newTierCounters, type TierCounters } from './tier-counters.ts';
import type { UnpackedChunks } from './unpack-chunks.ts';
import { unpackHere, type Unpack } from './unpackers.ts';

/** A layer's blob that can be read in parts: in a registry, or converted here. */
export interface ChunkBlob {
  /**
   * The bytes from `start` up to, not with, the first of `ends`, from there to the next and so on: each part as soon as it
   * is there, in memory that `memory` gave or of its own, which the caller may give away. Trusted no more than the network.
   */
  read(
    start: number,
    ends: readonly number[],
    signal: AbortSignal,
    memory?: (bytes: number) => Uint8Array,
  ): AsyncIterable<Uint8Array>;
}

/** Requests of one call that run at once. The calls themselves are bounded by `FetchSlots`. */
const REQUESTS_AT_ONCE = 4;
const ATTEMPTS_MAX = 4;
const FIRST_PAUSE_MS = 100;
const PAUSE_MS_MAX = 5_000;

/**
 * The last tier: range requests to blobs, neighbours in one request. A server that has too much to do is asked again
 * after the pause that it named; everything else that fails is for the caller.
 */
export class BlobTier implements ChunkTier {
  readonly counters: TierCounters = newTierCounters();
  readonly #blobOf: (digest: string) => ChunkBlob | undefined;
  readonly #unpack: Unpack;
  readonly #memory = new PieceMemory();

  /** `blobOf`: undefined for a blob that this tier cannot read. */
  constructor(blobOf: (digest: string) => ChunkBlob | undefined, unpack: Unpack = unpackHere) {
    this.#blobOf = blobOf;
    this.#unpack = unpack;
  }

  async *get(wanted: readonly ChunkRef[], options: GetOptions): AsyncGenerator<ArrivedChunk | PlacedChunk> {
    const waiting: { span: Span; blob: ChunkBlob }[] = [];
    for (const span of spansOf(wanted, undefined, options.gapBytesMax)) {
      const blob = this.#blobOf(span.blob);
      if (blob === undefined) this.counters.misses += span.chunks.length;
      else waiting.push({ span, blob });
    }
    const arrived = new ArrivalQueue<ArrivedChunk | PlacedChunk>();
    let failure: unknown;
    const work = async (): Promise<void> => {
      for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) {
        try {
          await this.#fetch(job.span, job.blob, options, (chunk) => arrived.push(chunk));
        } catch (error) {
          failure ??= error;
        }
      }
    };
    const workers = Array.from({ length: Math.min(REQUESTS_AT_ONCE, waiting.length) }, work);
    void Promise.all(workers).then(() => arrived.end());
    try {
      yield* arrived;
    } finally {
      // A caller that leaves early wants nothing of what was not begun.
      waiting.length = 0;
    }
    if (failure !== undefined) throw failure;
  }

  /** Pieces are unpacked while those behind them still come; what failed goes on from the first piece that is missing. */
  async #fetch(
    span: Span,
    blob: ChunkBlob,
    options: GetOptions,
    give: (chunk: ArrivedChunk | PlacedChunk) => void,
  ): Promise<void> {
    const { signal } = options;
    const pieces = piecesOf(span);
    const unpacking: Promise<void>[] = [];
    /** Taken, and not yet given to be unpacked. */
    let filling: Uint8Array | undefined;
    const memory = (bytes: number): Uint8Array => {
      filling = this.#memory.take(bytes);
      return filling;
    };
    const letGo = (): void => {
      if (filling !== undefined) this.#memory.giveBack(filling);
      filling = undefined;
    };
    for (let attempt = 1; ; attempt += 1) {
      const left = pieces.slice(unpacking.length);
      const ends = left.map(({ end }) => end);
      this.counters.requests += 1;
      try {
        for await (const packed of blob.read(left[0]?.start ?? span.start, ends, signal, memory)) {
          const piece = pieces[unpacking.length];
          if (packed.length !== (piece === undefined ? 0 : piece.end - piece.start)) break;
          if (piece !== undefined) {
            filling = undefined;
            unpacking.push(
              this.#unpackPiece(packed, piece, options, give).finally(() => this.#memory.giveBack(packed)),
            );
          }
          // Told of when all are waited for.
          unpacking.at(-1)?.catch(() => undefined);
        }
        if (unpacking.length === pieces.length) break;
        throw new ThawError('REGISTRY_FAILED', `a blob gave less than ${span.end - span.start} bytes`);
      } catch (error) {
        this.counters.failures += 1;
        if (attempt >= ATTEMPTS_MAX || !(error instanceof ThawError) || !error.isRetryable) {
          // What came before it is given all the same.
          await Promise.allSettled(unpacking);
          throw error;
        }
        await pause(
          error.retryAfterS === undefined ? FIRST_PAUSE_MS * 2 ** attempt : error.retryAfterS * 1000,
          signal,
        );
      } finally {
        letGo();
      }
    }
    await Promise.all(unpacking);
  }

  /** What nobody waits for is only written; bytes that nowhere can be written to come to whoever asked. */
  async #unpackPiece(
    packed: Uint8Array,
    piece: Span,
    { urgency, keeper }: GetOptions,
    give: (chunk: ArrivedChunk | PlacedChunk) => void,
  ): Promise<void> {
    this.counters.wireBytes += packed.length;
    const reserved = keeper?.reserve(piece.chunks);
    const chunks = piece.chunks.map(({ digest, size, blobOffset, blobLength }, index) => ({
      digest,
      size,
      at: blobOffset - piece.start,
      length: blobLength,
      offset: reserved?.offsets[index] ?? -1,
    }));
    const isWanted = urgency === 'demand' || reserved === undefined;
    let unpacked: UnpackedChunks;
    try {
      const descriptor = reserved?.descriptor ?? -1;
      unpacked = await this.#unpack(packed, chunks, { urgency, isWanted, descriptor });
    } catch (error) {
      reserved?.abandon(undefined);
      throw error;
    }
    const { plain, isRight, failure } = unpacked;
    if (failure === undefined) await reserved?.keep(isRight);
    else reserved?.abandon(Object.assign(new Error(failure.message), { code: failure.code }));
    const isKept = reserved !== undefined && failure === undefined;
    let at = 0;
    for (const [index, ref] of piece.chunks.entries()) {
      const start = at;
      at += ref.size;
      if (isRight[index] !== true) {
        this.counters.corrupt += 1;
        continue;
      }
      this.counters.chunks += 1;
      this.counters.bytes += ref.size;
      if (plain !== undefined)
        give({
          ref,
          bytes: Buffer.from(plain, start, ref.size),
          isCompared: true,
          ...(isKept ? { isKept } : {}),
        });
      else if (isKept) give({ ref, bytes: undefined, isCompared: true, isKept });
    }
  }
}

/** Several that were refused at once come back at different times. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  const waitMs = Math.min(PAUSE_MS_MAX, ms) * (0.5 + Math.random());
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(new ThawError('REGISTRY_FAILED', 'the wait for a registry was given up'));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, waitMs);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}
