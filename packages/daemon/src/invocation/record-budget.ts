/** What the history takes for as long as one likes, and what it takes at once after a rest. */
export const RECORDS_PER_SECOND_MAX = 5_000;
export const RECORDS_BURST_MAX = 10_000;

/**
 * How many records of ordinary invocations the history still takes: a bucket that fills with time. The history keeps
 * the newest 200,000; writing tens of thousands a second would cost a core, to forget them within seconds.
 */
export class RecordBudget {
  #left = RECORDS_BURST_MAX;
  #filledMs: number;

  constructor(nowMs: number) {
    this.#filledMs = nowMs;
  }

  /** False when there is none left for this one. */
  take(nowMs: number): boolean {
    const earned = ((nowMs - this.#filledMs) * RECORDS_PER_SECOND_MAX) / 1000;
    this.#filledMs = nowMs;
    this.#left = Math.min(RECORDS_BURST_MAX, this.#left + earned);
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}
