/** Idle times are told apart by the minute, up to four hours: as in the study that `keep-alive-plan.ts` names. */
export const BIN_MS = 60_000;
export const BINS = 240;

/** A bin that is full halves all of them: what happened long ago counts less and less. */
const COUNT_MAX = 0xffff;

/** How long one function was idle before it was called again: how often so many minutes. 480 bytes. */
export class IdleHistogram {
  readonly #bins = new Uint16Array(BINS);
  /** Idle times that were added and still count, those beyond the range included. */
  count = 0;

  add(idleMs: number): void {
    this.count += 1;
    const bin = Math.floor(idleMs / BIN_MS);
    if (bin >= BINS) return;
    if (this.#bins[bin] === COUNT_MAX) this.#halve();
    this.#bins[bin] = (this.#bins[bin] ?? 0) + 1;
  }

  /** How many of them lie in this minute. */
  at(bin: number): number {
    return this.#bins[bin] ?? 0;
  }

  #halve(): void {
    this.count = Math.ceil(this.count / 2);
    for (const [bin, count] of this.#bins.entries()) this.#bins[bin] = count >> 1;
  }
}
