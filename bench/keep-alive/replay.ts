import { ManualClock } from '@thaw/daemon/base/clock.ts';
import { DeadlineWheel } from '@thaw/daemon/base/deadline-wheel.ts';
import type { RunnableVersion } from '@thaw/daemon/model/runnable.ts';
import { Scheduler, type KeepAlive } from '@thaw/daemon/scheduler/scheduler.ts';
import { SimulatedInstance } from '@thaw/daemon/scheduler/simulated-instance.ts';
import { SIMULATED_LIMITS, simulatedFunction } from '@thaw/daemon/scheduler/simulation.ts';
import type { Waiter } from '@thaw/daemon/scheduler/waiter.ts';
import type { DayFunction } from './azure-day.ts';

export interface ReplayOptions {
  readonly keepAlive: KeepAlive;
  readonly idleMsMax: number;
  readonly memoryMbMax: number;
}

export interface Replayed {
  readonly calls: number;
  /** Calls that no instance was ready for. */
  readonly coldStarts: number;
  /** Memory of all instances, busy or idle, over the time that they were there. */
  readonly memoryGbS: number;
}

const DAY_MS = 24 * 3_600_000;
/** The scheduler's own timers are looked at this often. */
const STEP_MS = 1_000;
/** Calls of one application share an instance, as they did in the study. */
const INSTANCE_CONCURRENCY = 200;

/** Plays a day through the platform's own scheduler in virtual time; only the instances are simulated. */
export function replay(day: readonly DayFunction[], options: ReplayOptions): Replayed {
  return new Replay(day, options).run();
}

class Replay {
  readonly #clock = new ManualClock();
  readonly #wheel = new DeadlineWheel(this.#clock);
  readonly #scheduler: Scheduler<SimulatedInstance>;
  readonly #day: readonly DayFunction[];
  readonly #runnables: readonly RunnableVersion[];
  readonly #startedMs = new Map<SimulatedInstance, number>();
  readonly #starting: SimulatedInstance[] = [];
  readonly #ending: SimulatedInstance[] = [];
  /** What runs, by the second in which it ends. */
  readonly #running = new Map<number, SimulatedInstance[]>();
  #coldStarts = 0;
  #memoryMbMs = 0;

  constructor(day: readonly DayFunction[], { keepAlive, idleMsMax, memoryMbMax }: ReplayOptions) {
    this.#day = day;
    this.#runnables = day.map(({ name, memoryMb }) =>
      simulatedFunction(name, { memoryMb, instanceConcurrency: INSTANCE_CONCURRENCY }),
    );
    this.#scheduler = new Scheduler<SimulatedInstance>({
      clock: this.#clock,
      wheel: this.#wheel,
      keepAlive,
      limits: { ...SIMULATED_LIMITS, instancesMax: 1_000_000, idleMsMax, memoryMbMax },
      createInstance: (runnable, events) => {
        const instance = new SimulatedInstance(
          this.#clock,
          {
            onChange: (changed, from) => {
              events.onChange(changed, from);
              if (changed.state.name === 'draining' && changed.inFlight === 0) this.#ending.push(changed);
            },
            onStartFailed: (failed, error) => events.onStartFailed(failed, error),
          },
          runnable,
        );
        this.#startedMs.set(instance, this.#clock.monotonicMs());
        this.#starting.push(instance);
        return instance;
      },
    });
  }

  run(): Replayed {
    const calls = this.#day
      .flatMap(({ calls: times }, index) => times.map((atMs) => ({ atMs, index })))
      .toSorted((a, b) => a.atMs - b.atMs);
    let next = 0;
    for (let nowMs = STEP_MS; nowMs <= DAY_MS; nowMs += STEP_MS) {
      this.#clock.advance(STEP_MS);
      for (const instance of this.#running.get(nowMs) ?? []) instance.release();
      this.#running.delete(nowMs);
      this.#wheel.tick();
      this.#settle();
      for (let call = calls[next]; call !== undefined && call.atMs <= nowMs; call = calls[next]) {
        this.#call(call.index, nowMs);
        next += 1;
      }
    }
    for (const instance of this.#startedMs.keys()) this.#count(instance);
    this.#wheel.close();
    return {
      calls: calls.length,
      coldStarts: this.#coldStarts,
      memoryGbS: this.#memoryMbMs / 1024 / 1000,
    };
  }

  #call(index: number, nowMs: number): void {
    const runnable = this.#runnables[index];
    const durationMs = this.#day[index]?.durationMs;
    if (runnable === undefined || durationMs === undefined) throw new Error(`no function ${index}`);
    const endsMs = nowMs + Math.max(1, Math.ceil(durationMs / STEP_MS)) * STEP_MS;
    let isAtOnce = true;
    const waiter: Waiter<SimulatedInstance> = {
      sessionId: undefined,
      onSlot: (instance) => {
        if (!isAtOnce) this.#coldStarts += 1;
        instance.serve();
        const ending = this.#running.get(endsMs);
        if (ending === undefined) this.#running.set(endsMs, [instance]);
        else ending.push(instance);
      },
      onRefused: (error) => {
        throw error;
      },
    };
    this.#scheduler.acquire(runnable, waiter);
    isAtOnce = false;
    this.#settle();
  }

  /** What starts is ready and what ends is gone. */
  #settle(): void {
    for (;;) {
      const ended = this.#ending.pop();
      const started = ended === undefined ? this.#starting.pop() : undefined;
      if (ended !== undefined) {
        this.#count(ended);
        this.#startedMs.delete(ended);
        if (ended.state.name === 'draining') ended.exit();
      } else if (started !== undefined) {
        if (started.state.name === 'starting') started.becomeReady();
      } else {
        return;
      }
    }
  }

  #count(instance: SimulatedInstance): void {
    const sinceMs = this.#startedMs.get(instance);
    if (sinceMs === undefined) return;
    this.#memoryMbMs += instance.runnable.memoryMb * (this.#clock.monotonicMs() - sinceMs);
  }
}
