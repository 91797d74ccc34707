import assert from 'node:assert/strict';
import type { Clock } from '../base/clock.ts';
import { microseconds, type BilledInterval } from '../model/usage.ts';

export type MeteredInterval = Pick<BilledInterval, 'startMs' | 'endMs' | 'requests'>;

/**
 * Measures when one instance works: from the start of the earliest request or hook to the end of the latest, so that
 * what overlaps is billed once and a pause between two pieces of work is not billed.
 *
 * ```
 * request 1   ├──────────┤
 * request 2        ├─────────┤
 * pre-freeze                 ├───┤           ├──┤ pre-stop
 * billed      ├─────────────────┤           ├──┤
 * ```
 *
 * One meter belongs to one instance. All times are monotonic milliseconds (`clock.monotonicMs()`) and never decrease.
 * - `begin(atMs, 'request' | 'hook')` when a request or a hook starts, and exactly one `end(atMs)` when it has ended.
 *   A hook that follows a request should begin at the very time at which that request ended.
 * - `stop(atMs)` once the instance's processes are gone: whatever still ran ended then. Later ends change nothing.
 * - `cut(atMs)` now and then while work runs for long: reports what has run until now and goes on from there, so that
 *   a stream of days shows up in its own day and a crash of the platform loses little.
 * - `onInterval` gets each interval once, in wall time as of the moment at which it is reported.
 */
export class InstanceMeter {
  readonly #clock: Clock;
  readonly #onInterval: (interval: MeteredInterval) => void;
  #running = 0;
  #startUs = 0;
  #lastUs = 0;
  #requests = 0;
  #isStopped = false;

  constructor(clock: Clock, onInterval: (interval: MeteredInterval) => void) {
    this.#clock = clock;
    this.#onInterval = onInterval;
  }

  get isRunning(): boolean {
    return this.#running > 0;
  }

  begin(atMs: number, kind: 'request' | 'hook'): void {
    assert(!this.#isStopped, 'work begins on an instance that is gone');
    const atUs = this.#advance(atMs);
    if (this.#running === 0) this.#startUs = atUs;
    this.#running += 1;
    if (kind === 'request') this.#requests += 1;
  }

  end(atMs: number): void {
    if (this.#isStopped) return;
    assert(this.#running > 0, 'work ends that never began');
    const atUs = this.#advance(atMs);
    this.#running -= 1;
    if (this.#running === 0) this.#report(atUs);
  }

  cut(atMs: number): void {
    if (this.#running === 0) return;
    const atUs = this.#advance(atMs);
    this.#report(atUs);
    this.#startUs = atUs;
  }

  stop(atMs: number): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    if (this.#running === 0) return;
    this.#running = 0;
    this.#report(this.#advance(atMs));
  }

  /** Times come from several callbacks; one that was read a little earlier than the last known counts as that one. */
  #advance(atMs: number): number {
    this.#lastUs = Math.max(this.#lastUs, microseconds(atMs));
    return this.#lastUs;
  }

  #report(endUs: number): void {
    const requests = this.#requests;
    this.#requests = 0;
    if (endUs === this.#startUs && requests === 0) return;
    const wallEndUs =
      microseconds(this.#clock.now()) - Math.max(0, microseconds(this.#clock.monotonicMs()) - endUs);
    this.#onInterval({
      startMs: (wallEndUs - (endUs - this.#startUs)) / 1000,
      endMs: wallEndUs / 1000,
      requests,
    });
  }
}
