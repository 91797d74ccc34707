import type { Clock } from '../base/clock.ts';
import type { Deadline, DeadlineWheel } from '../base/deadline-wheel.ts';

/** Many instances that grow idle at nearly the same time are looked at together. */
const SWEEP_MS_MIN = 100;

/** Calls back when the first of the expected times has come, and never while nothing is expected. */
export class IdleSweep {
  readonly #clock: Clock;
  readonly #wheel: DeadlineWheel;
  /** Stops what has been idle for too long and says when the next one will have been. */
  readonly #sweep: (nowMs: number) => number | undefined;
  #deadline: Deadline | undefined;
  #isClosed = false;

  constructor(clock: Clock, wheel: DeadlineWheel, sweep: (nowMs: number) => number | undefined) {
    this.#clock = clock;
    this.#wheel = wheel;
    this.#sweep = sweep;
  }

  /** Costs a comparison where something earlier is expected already, which is nearly always. */
  expect(atMs: number): void {
    if (this.#isClosed || (this.#deadline !== undefined && this.#deadline.atMs <= atMs)) return;
    if (this.#deadline !== undefined) this.#wheel.clear(this.#deadline);
    const delayMs = Math.max(SWEEP_MS_MIN, atMs - this.#clock.monotonicMs());
    this.#deadline = this.#wheel.set(delayMs, () => {
      this.#deadline = undefined;
      const nextMs = this.#sweep(this.#clock.monotonicMs());
      if (nextMs !== undefined) this.expect(nextMs);
    });
  }

  close(): void {
    this.#isClosed = true;
    if (this.#deadline !== undefined) this.#wheel.clear(this.#deadline);
  }
}
