import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { ArrivedChunk, ChunkRef } from '../chunks/chunk-ref.ts';
import type { ChunkTier, GetOptions } from './chunk-tier.ts';
import { spansOf, type Span } from './spans.ts';
import { newTierCounters, type TierCounters } from './tier-counters.ts';
import { unpackHere, type Unpack } from './unpackers.ts';

/** A layer's blob that can be read in parts: in a registry, or converted here. */
export interface ChunkBlob {
  /**
   * The bytes from `start` up to, not with, `end`, in memory of their own, which the caller may give away; what it gives
   * is trusted no more than the network.
   */
  readRange(start: number, end: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>>;
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

  /** `blobOf`: undefined for a blob that this tier cannot read. */
  constructor(blobOf: (digest: string) => ChunkBlob | undefined, unpack: Unpack = unpackHere) {
    this.#blobOf = blobOf;
    this.#unpack = unpack;
  }

  async *get(wanted: readonly ChunkRef[], options: GetOptions): AsyncGenerator<ArrivedChunk> {
    const waiting: { span: Span; blob: ChunkBlob }[] = [];
    for (const span of spansOf(wanted)) {
      const blob = this.#blobOf(span.blob);
      if (blob === undefined) this.counters.misses += span.chunks.length;
      else waiting.push({ span, blob });
    }
    const running: Promise<ArrivedChunk[]>[] = [];
    let failure: unknown;
    const next = (): void => {
      const job = waiting.shift();
      if (job !== undefined) running.push(this.#fetch(job.span, job.blob, options));
    };
    for (let at = 0; at < REQUESTS_AT_ONCE; at += 1) next();
    try {
      for (let done = running.shift(); done !== undefined; done = running.shift()) {
        try {
          const arrived = await done;
          next();
          yield* arrived;
        } catch (error) {
          failure ??= error;
          next();
        }
      }
    } finally {
      // A caller that leaves early must not leave failures behind that nobody handles.
      for (const left of running) left.catch(() => undefined);
    }
    if (failure !== undefined) throw failure;
  }

  async #fetch(span: Span, blob: ChunkBlob, { signal, urgency }: GetOptions): Promise<ArrivedChunk[]> {
    const packed = await this.#read(span, blob, signal);
    this.counters.wireBytes += packed.length;
    const chunks = span.chunks.map(({ digest, size, blobOffset, blobLength }) => ({
      digest,
      size,
      at: blobOffset - span.start,
      length: blobLength,
    }));
    const { plain, isRight } = await this.#unpack(packed, chunks, urgency);
    const arrived: ArrivedChunk[] = [];
    let at = 0;
    for (const [index, ref] of span.chunks.entries()) {
      const bytes = Buffer.from(plain, at, ref.size);
      at += ref.size;
      if (isRight[index] !== true) {
        this.counters.corrupt += 1;
        continue;
      }
      this.counters.chunks += 1;
      this.counters.bytes += bytes.length;
      arrived.push({ ref, bytes, isCompared: true });
    }
    return arrived;
  }

  async #read({ start, end }: Span, blob: ChunkBlob, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    for (let attempt = 1; ; attempt += 1) {
      this.counters.requests += 1;
      try {
        const bytes = await blob.readRange(start, end, signal);
        if (bytes.length === end - start) return bytes;
        throw new ThawError('REGISTRY_FAILED', `a blob gave ${bytes.length} bytes of ${end - start}`);
      } catch (error) {
        this.counters.failures += 1;
        if (attempt >= ATTEMPTS_MAX || !(error instanceof ThawError) || !error.isRetryable) throw error;
        await pause(
          error.retryAfterS === undefined ? FIRST_PAUSE_MS * 2 ** attempt : error.retryAfterS * 1000,
          signal,
        );
      }
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
