import type { Clock } from '../../base/clock.ts';

/** How much may be used at once after a rest. */
const BURST_MS = 100;

/** A bound on bytes per second, kept by telling each taker how long to wait. */
export class Bandwidth {
  readonly #bytesPerSecond: number;
  readonly #clock: Clock;
  #freeAtMs: number;

  constructor(bytesPerSecond: number, clock: Clock) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#clock = clock;
    this.#freeAtMs = clock.monotonicMs();
  }

  /** Takes its turn, and gives how many milliseconds to wait before the bytes may move. */
  take(bytes: number): number {
    const nowMs = this.#clock.monotonicMs();
    const startMs = Math.max(this.#freeAtMs, nowMs - BURST_MS);
    this.#freeAtMs = startMs + (bytes / this.#bytesPerSecond) * 1000;
    return Math.max(0, startMs - nowMs);
  }
}
