/** What is counted: a larger span is several, a small one a part. */
export const WINDOW_UNIT_BYTES = 512 * 1024;
/** Units that are under way at once, at the beginning, at the least and at the most. */
const FIRST = 10;
const LEAST = 6;
const MOST = 24;
/** A span that takes so much longer than the fastest one has waited behind others most of its time. */
const SLOWER_MAX = 3;
/** What is no sign of anything. */
const NOISE_MS = 5;

/**
 * How much is fetched ahead at once. As many as the way to them takes without a queue: what stands in a queue
 * there, in a switch or in front of the threads that unpack, is what a demanded chunk has to wait for. One more for each
 * round of spans that came as fast as the fastest, a quarter less when one took far longer. Pure: times are passed in.
 */
export class PrefetchWindow {
  #size = FIRST;
  #fastestMs = Infinity;
  #sinceCut = 0;

  get size(): number {
    return Math.floor(this.#size);
  }

  /** A unit has come, this long after it was asked for. */
  arrived(ms: number): void {
    this.#fastestMs = Math.min(this.#fastestMs, ms);
    this.#sinceCut += 1;
    if (ms <= this.#fastestMs * SLOWER_MAX + NOISE_MS) {
      this.#size = Math.min(MOST, this.#size + 1 / this.#size);
    } else if (this.#sinceCut >= this.#size) {
      // Those that were under way at the last cut tell of the queue before it.
      this.#size = Math.max(LEAST, this.#size * 0.75);
      this.#sinceCut = 0;
    }
  }
}
