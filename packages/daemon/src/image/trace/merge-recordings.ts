import type { Recording } from './recording.ts';

/** Recordings that a trace is made of; older ones go. */
export const RECORDINGS_MAX = 3;
/** Of the chunks that a start read, how many its trace may not have named before the workload counts as another one. */
const MISSES_MAX = 0.1;
/** And how many for its reads to be another recording of the same workload. */
const MISSES_KEPT_MIN = 0.01;
/** The same where there is a pack: what lies at the edges of its blocks is read now and then. */
const PACK_MISSES_KEPT_MIN = 0.05;
/** Fewer chunks than this say nothing about a trace. */
const CHUNKS_MIN = 20;

/**
 * The order in which chunks are fetched ahead: what the newest recording read, as it read it; then what at least two of
 * the others read. A chunk that one old run read by chance goes, and a workload that changed is followed at once.
 * `recordings` are the newest last.
 */
export function mergeRecordings(recordings: readonly Pick<Recording, 'chunks'>[]): Uint32Array {
  const considered = recordings.slice(-RECORDINGS_MAX);
  const newest = considered.at(-1)?.chunks ?? new Uint32Array();
  const known = new Set(newest);
  const counts = new Map<number, number>();
  for (const { chunks } of considered.slice(0, -1)) {
    for (const chunk of new Set(chunks)) counts.set(chunk, (counts.get(chunk) ?? 0) + 1);
  }
  const often = [...counts]
    .filter(([chunk, count]) => count >= 2 && !known.has(chunk))
    .map(([chunk]) => chunk);
  return Uint32Array.from([...new Set(newest), ...often]);
}

export interface ReplayResult {
  /** Chunks that the trace named. */
  readonly planned: number;
  /** Chunks that were read during the start. */
  readonly demanded: number;
  /** Of those, chunks that the trace had not named, or of which its pack did not hold what was read. */
  readonly misses: number;
  /** It was served from a pack. */
  readonly isPacked: boolean;
}

/** `missed`: chunks that a pack did not hold all of, where there was one. */
export function replayResult(
  planned: Uint32Array,
  demanded: Uint32Array,
  missed?: ReadonlySet<number>,
): ReplayResult {
  const named = new Set(planned);
  const isMissed = (chunk: number): boolean => missed?.has(chunk) ?? !named.has(chunk);
  return {
    planned: planned.length,
    demanded: demanded.length,
    misses: demanded.filter(isMissed).length,
    isPacked: missed !== undefined,
  };
}

/** Whether a start read so much that its trace did not name that another recording is due. */
export function isOutdated({ demanded, misses }: ReplayResult): boolean {
  return demanded >= CHUNKS_MIN && misses > demanded * MISSES_MAX;
}

/** Whether a start read a little that its trace did not name: the kernel reads ahead further the faster pieces come. */
export function isWorthAdding({ demanded, misses, isPacked }: ReplayResult): boolean {
  const share = isPacked ? PACK_MISSES_KEPT_MIN : MISSES_KEPT_MIN;
  return demanded >= CHUNKS_MIN && misses > demanded * share;
}
