/**
 * Which idle instances make room when memory is short: Greedy-Dual-Size-Frequency, as FaasCache uses it for functions
 * (Fuerst and Sharma, "FaasCache: keeping serverless computing alive with greedy-dual caching", ASPLOS 2021). What is
 * called often, costly to start and small stays; the clock makes what is not used any more grow old.
 */
export interface KeepAliveFacts {
  /** The keep-alive clock when the instance was used last. */
  readonly clock: number;
  /** Requests to its function since there are instances of it. */
  readonly uses: number;
  readonly coldStartMs: number;
  readonly memoryMb: number;
}

export function keepAlivePriority({ clock, uses, coldStartMs, memoryMb }: KeepAliveFacts): number {
  return clock + (uses * coldStartMs) / memoryMb;
}

export interface EvictionCandidate extends KeepAliveFacts {
  /** Monotonic time of its last use, which decides among equals. */
  readonly usedMs: number;
}

export interface Eviction<C> {
  readonly evicted: readonly C[];
  /** The keep-alive clock from now on: the highest priority that was evicted. */
  readonly clock: number;
}

/** The candidates of least priority that free this much memory together, or all where they do not. */
export function instancesToEvict<C extends EvictionCandidate>(
  candidates: readonly C[],
  neededMb: number,
  clock: number,
): Eviction<C> {
  const ranked = candidates
    .map((candidate) => ({ candidate, priority: keepAlivePriority(candidate) }))
    .toSorted((a, b) => a.priority - b.priority || a.candidate.usedMs - b.candidate.usedMs);
  const evicted: C[] = [];
  let freedMb = 0;
  let reached = clock;
  for (const { candidate, priority } of ranked) {
    if (freedMb >= neededMb) break;
    evicted.push(candidate);
    freedMb += candidate.memoryMb;
    reached = Math.max(reached, priority);
  }
  return { evicted, clock: reached };
}
