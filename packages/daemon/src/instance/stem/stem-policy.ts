/** How many stems of one kind there should be, and when. Pure: time and counts are arguments. */

/** Starts of a kind that found no stem within the last `BURST_MS` ask for one more each time there are so many. */
const MISSES_PER_STEM = 2;
/** How long a burst is remembered: work that comes in waves meets a larger pool. */
export const BURST_MS = 30_000;
/** More of one kind are not kept, whatever comes. */
const STEMS_PER_KIND_MAX = 8;
const RETRY_MS_MIN = 1000;
const RETRY_MS_MAX = 60_000;

/** `base` is what is kept of every kind in use. */
export function stemsWanted(base: number, misses: number): number {
  if (base === 0) return 0;
  return Math.max(base, Math.min(STEMS_PER_KIND_MAX, base + Math.floor(misses / MISSES_PER_STEM)));
}

export interface StemCounts {
  readonly wanted: number;
  /** Of this kind, booting ones included. */
  readonly stems: number;
  /** Of all kinds. */
  readonly booting: number;
  readonly total: number;
  readonly bootingMax: number;
  readonly totalMax: number;
}

export function stemsToBoot({ wanted, stems, booting, total, bootingMax, totalMax }: StemCounts): number {
  return Math.max(0, Math.min(wanted - stems, bootingMax - booting, totalMax - total));
}

/** A runtime that does not come up will hardly do so at once. */
export function stemRetryMs(failures: number): number {
  return Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.max(0, failures - 1));
}
