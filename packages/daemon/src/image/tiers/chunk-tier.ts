import type { ArrivedChunk, ChunkRef, PlacedChunk } from '../chunks/chunk-ref.ts';

/**
 * One place where chunks come from, near or far.
 *
 * Contract:
 *  1. `get` gives those of the wanted chunks that it has, each at most once, in any order, as they come.
 *  2. What it does not have it leaves out. It throws only when it failed as a whole; what it gave before counts.
 *  3. Nothing it gives is trusted: the caller compares size and digest, unless the tier has done so and says so.
 *  4. An aborted signal ends its work; what it holds is given back however its caller leaves the iteration.
 *  5. Where the caller gives a keeper, chunks may be kept with it and, unless they are demanded, come without their bytes.
 */
export interface ChunkTier {
  get(wanted: readonly ChunkRef[], options: GetOptions): AsyncIterable<ArrivedChunk | PlacedChunk>;
}

export interface GetOptions {
  readonly urgency: Urgency;
  readonly signal: AbortSignal;
  /** How many bytes that nobody wants may be read over rather than ask twice; absent: what a tier finds right. */
  readonly gapBytesMax?: number | undefined;
  readonly keeper?: ChunkKeeper | undefined;
}

/** Lets whoever unpacks chunks write them where they are kept, so that their bytes go nowhere else. */
export interface ChunkKeeper {
  /** Places for these; undefined when none of them can be kept in this way. */
  reserve(chunks: readonly Pick<ChunkRef, 'digest' | 'size'>[]): Reservation | undefined;
}

/** Ends with one call of `keep` or `abandon`; until then nobody takes the places away. */
export interface Reservation {
  readonly descriptor: number;
  /** By chunk, in order; below 0 where one is kept already. */
  readonly offsets: readonly number[];
  /** Those that are right were written. */
  keep(isRight: readonly boolean[]): Promise<void>;
  /** Nothing is read from there; `failure`: what the disk said to writing. */
  abandon(failure: unknown): void;
}

/** Somebody waits for a demanded chunk; a prefetched one may never be asked for. */
export type Urgency = 'demand' | 'prefetch';
