/** Buckets for each doubling: a recorded value is off by at most 1/128. */
const STEPS = 128;
const DOUBLINGS = 40;

/** Latencies from a nanosecond to a quarter of an hour in fixed memory, in the manner of HdrHistogram. */
export class LatencyHistogram {
  readonly #counts = new Uint32Array(STEPS * DOUBLINGS);
  #total = 0;
  #maxMs = 0;

  add(ms: number): void {
    const ns = Math.max(1, ms * 1_000_000);
    const doubling = Math.min(DOUBLINGS - 1, Math.floor(Math.log2(ns)));
    const step = Math.min(STEPS - 1, Math.floor((ns / 2 ** doubling - 1) * STEPS));
    const at = doubling * STEPS + step;
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#total += 1;
    this.#maxMs = Math.max(this.#maxMs, ms);
  }

  get total(): number {
    return this.#total;
  }

  get maxMs(): number {
    return this.#maxMs;
  }

  /** Milliseconds below which the share `q` lies: the upper end of its bucket. NaN of nothing. */
  quantile(q: number): number {
    if (this.#total === 0) return NaN;
    const rank = Math.max(1, Math.ceil(q * this.#total));
    let seen = 0;
    for (const [at, count] of this.#counts.entries()) {
      seen += count;
      if (seen >= rank) return Math.min(this.#maxMs, upperEndMs(at));
    }
    return this.#maxMs;
  }
}

function upperEndMs(at: number): number {
  const doubling = Math.floor(at / STEPS);
  return (2 ** doubling * (1 + ((at % STEPS) + 1) / STEPS)) / 1_000_000;
}
