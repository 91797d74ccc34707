import type { ArrivedChunk, ChunkRef } from '../chunks/chunk-ref.ts';

/**
 * One place where chunks come from, near or far.
 *
 * Contract:
 *  1. `get` gives those of the wanted chunks that it has, each at most once, in any order, as they come.
 *  2. What it does not have it leaves out. It throws only when it failed as a whole; what it gave before counts.
 *  3. Nothing it gives is trusted: the caller compares size and digest, unless the tier has done so and says so.
 *  4. An aborted signal ends its work; what it holds is given back however its caller leaves the iteration.
 */
export interface ChunkTier {
  get(wanted: readonly ChunkRef[], options: GetOptions): AsyncIterable<ArrivedChunk>;
}

export interface GetOptions {
  readonly urgency: Urgency;
  readonly signal: AbortSignal;
  /** How many bytes that nobody wants may be read over rather than ask twice; absent: what a tier finds right. */
  readonly gapBytesMax?: number | undefined;
}

/** Somebody waits for a demanded chunk; a prefetched one may never be asked for. */
export type Urgency = 'demand' | 'prefetch';
