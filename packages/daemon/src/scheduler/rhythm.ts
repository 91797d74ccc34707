import type { Deadline } from '../base/deadline-wheel.ts';
import type { RunnableVersion } from '../model/runnable.ts';
import { IdleHistogram } from './idle-histogram.ts';
import { keepAlivePlan, type KeepAlivePlan } from './keep-alive-plan.ts';

/** A plan is made anew when the idle times have become more by this share: seldom, and cheap over all. */
const REPLAN_SHARE = 1 / 16;

/** When one function is called and when it is idle, in all its versions together. */
export class Rhythm {
  readonly #idle = new IdleHistogram();
  #plannedCount = 0;
  /** What the idle times so far suggest. */
  plan: KeepAlivePlan | undefined;
  /** Monotonic time since which nothing of it runs or waits; undefined while something does, and before its first call. */
  quietSinceMs: number | undefined;
  /** What was called last: what is started ahead. */
  runnable: RunnableVersion | undefined;
  prewarm: Deadline | undefined;

  /** A call has come while nothing ran. */
  wake(nowMs: number, memoryMb: number): void {
    if (this.quietSinceMs === undefined) return;
    this.#idle.add(nowMs - this.quietSinceMs);
    this.quietSinceMs = undefined;
    const { count } = this.#idle;
    if (Math.abs(count - this.#plannedCount) < count * REPLAN_SHARE) return;
    this.#plannedCount = count;
    this.plan = keepAlivePlan(this.#idle, memoryMb);
  }

  /** The last call has ended. */
  rest(nowMs: number): void {
    this.quietSinceMs = nowMs;
  }
}
