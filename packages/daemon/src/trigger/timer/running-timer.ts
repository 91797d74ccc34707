import { setTimeout as wait } from 'node:timers/promises';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { z } from 'zod';
import type { Clock } from '../../base/clock.ts';
import type { TimerTrigger } from '../../model/trigger.ts';
import type { AttachedTrigger, TriggerTarget } from '../trigger-source.ts';
import { LATE_MS_MAX, ticksDue } from './ticks-due.ts';
import { timerEvent } from './timer-event.ts';
import { parseTimerSchedule, type TimerSchedule } from './timer-schedule.ts';

/**
 * The wall clock is looked at so often at least: it may have been set meanwhile, and no timer of the engine waits for
 * longer than 24.8 days.
 */
const WAIT_MS_MAX = 60_000;
const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 60_000;

/**
 * What a timer remembers. `owed` is written before the first of them is submitted and each is taken out when it has
 * been accepted: after a crash between the two it is submitted again under the same task id, which runs once.
 */
const timerState = z.object({
  /** Another schedule begins anew. */
  schedule: z.string(),
  lastMs: z.number(),
  owed: z.array(z.number()),
});
type TimerState = z.infer<typeof timerState>;

/** One timer: waits for the next time, notes it, hands its event over, and so on until it is detached. */
export class RunningTimer implements AttachedTrigger {
  readonly #trigger: TimerTrigger;
  readonly #target: TriggerTarget;
  readonly #clock: Clock;
  readonly #schedule: TimerSchedule;
  readonly #detached = new AbortController();
  readonly #running: Promise<void>;

  constructor(trigger: TimerTrigger, target: TriggerTarget, clock: Clock) {
    this.#trigger = trigger;
    this.#target = target;
    this.#clock = clock;
    this.#schedule = parseTimerSchedule(trigger.config);
    this.#running = this.#run();
  }

  async detach(): Promise<void> {
    this.#detached.abort();
    await this.#running;
  }

  /** Ends when the timer is detached. A store that fails is tried again: a timer must not end by itself. */
  async #run(): Promise<void> {
    let lateMsMax = 0;
    let failures = 0;
    while (!this.#detached.signal.aborted) {
      try {
        await this.#work(lateMsMax);
        lateMsMax = LATE_MS_MAX;
        failures = 0;
        this.#target.report(undefined);
      } catch (thrown) {
        this.#target.report(ThawError.from(thrown, `running the timer '${this.#trigger.triggerName}'`));
        failures += 1;
        await this.#wait(retryMs(failures));
      }
    }
  }

  /** Deals with what is due, then waits for what comes next. */
  async #work(lateMsMax: number): Promise<void> {
    let state = this.#readState();
    const nowMs = this.#clock.now();
    const { catchUp } = this.#trigger.config;
    const schedule = this.#schedule;
    const due = ticksDue({ schedule, catchUp, lastMs: state.lastMs, nowMs, lateMsMax });
    if (due.lastMs !== state.lastMs) {
      state = { ...state, lastMs: due.lastMs, owed: [...state.owed, ...due.ticks] };
      this.#target.state.set(state);
    }
    while (state.owed.length > 0) {
      const [tickMs = 0, ...owed] = state.owed;
      if (!(await this.#submit(tickMs))) return;
      state = { ...state, owed };
      this.#target.state.set(state);
    }
    const nextMs = schedule.next(state.lastMs, Math.max(state.lastMs, this.#clock.now()));
    // What became due while events were handed over is in the past of `next`, so it is looked for first.
    if (schedule.between(state.lastMs, this.#clock.now(), 1).length > 0) return;
    await this.#wait(Math.min(WAIT_MS_MAX, (nextMs ?? Infinity) - this.#clock.now()));
  }

  #readState(): TimerState {
    const { cronExpression, timezone } = this.#trigger.config;
    const schedule = `${timezone} ${cronExpression}`;
    const stored = timerState.safeParse(this.#target.state.get());
    if (stored.success && stored.data.schedule === schedule) return stored.data;
    const fresh = { schedule, lastMs: this.#clock.now(), owed: [] };
    this.#target.state.set(fresh);
    return fresh;
  }

  /** False when the timer was detached before the event was accepted, which is then still owed. */
  async #submit(tickMs: number): Promise<boolean> {
    const event = timerEvent(this.#trigger, tickMs);
    const taskId = `timer-${this.#trigger.triggerId}-${tickMs}`;
    for (let tries = 1; !this.#detached.signal.aborted; tries += 1) {
      try {
        await this.#target.submit(event, { taskId });
        return true;
      } catch (thrown) {
        const error = ThawError.from(thrown, 'handing over a timer event');
        this.#target.report(error);
        // What the platform will never take is dropped; the trigger's log shows it.
        if (!error.isRetryable) return true;
        await this.#wait(retryMs(tries));
      }
    }
    return false;
  }

  async #wait(ms: number): Promise<void> {
    await wait(Math.max(0, ms), undefined, { signal: this.#detached.signal }).catch(() => undefined);
  }
}

function retryMs(tries: number): number {
  return Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** (tries - 1));
}
