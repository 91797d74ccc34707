import type { Clock } from '../base/clock.ts';
import type { Deadline, DeadlineWheel } from '../base/deadline-wheel.ts';
import type { ExitPhase } from './exit-error.ts';

/** Milliseconds of a start's phases; a phase that has not ended is absent. */
export interface StartTimings {
  stem?: number;
  sandbox?: number;
  boot?: number;
  load?: number;
  initializer?: number;
}

/**
 * How far a start has come: measures each phase where it ends, and calls out when one takes longer than it may.
 *
 * ```
 * boot (sandbox, then the runtime itself; or a stem) ─▶ load ─▶ initializer ─▶ invocation, which is no part of the start any more
 * ```
 */
export class StartPhases {
  readonly timings: StartTimings = {};
  readonly #clock: Clock;
  readonly #wheel: DeadlineWheel;
  readonly #onTimeout: (phase: ExitPhase, timeoutMs: number) => void;
  #phase: ExitPhase = 'boot';
  readonly #beganMs: number;
  #startMs: number;
  #deadline: Deadline | undefined;

  constructor(clock: Clock, wheel: DeadlineWheel, onTimeout: (phase: ExitPhase, timeoutMs: number) => void) {
    this.#clock = clock;
    this.#wheel = wheel;
    this.#onTimeout = onTimeout;
    this.#beganMs = clock.monotonicMs();
    this.#startMs = this.#beganMs;
  }

  get phase(): ExitPhase {
    return this.#phase;
  }

  begin(bootMsMax: number): void {
    this.#arm(bootMsMax);
  }

  /** Another start has taken the place of one from a stem that was lost; the time is counted from the first. */
  beginAnew(bootMsMax: number): void {
    this.close();
    delete this.timings.stem;
    this.#phase = 'boot';
    this.#startMs = this.#beganMs;
    this.#arm(bootMsMax);
  }

  /** The sandbox runs. The runtime's own word may have overtaken the news of it. */
  onSandbox(): void {
    if (this.#phase === 'boot' && this.timings.sandbox === undefined) this.#mark('sandbox');
  }

  /** A stem has become the sandbox: its runtime had booted before. */
  onStem(loadMsMax: number): void {
    this.#enter('load', 'stem', loadMsMax);
  }

  onBooted(loadMsMax: number): void {
    this.onSandbox();
    this.#enter('load', 'boot', loadMsMax);
  }

  onInitializing(initializerMsMax: number): void {
    this.#enter('initializer', 'load', initializerMsMax);
  }

  onReady(): void {
    this.#mark(this.#phase === 'initializer' ? 'initializer' : 'load');
    this.#phase = 'invocation';
    this.close();
  }

  close(): void {
    if (this.#deadline !== undefined) this.#wheel.clear(this.#deadline);
    this.#deadline = undefined;
  }

  #enter(phase: ExitPhase, ended: keyof StartTimings, timeoutMs: number): void {
    this.#mark(ended);
    this.#phase = phase;
    this.close();
    this.#arm(timeoutMs);
  }

  #arm(timeoutMs: number): void {
    this.#deadline = this.#wheel.set(timeoutMs, () => this.#onTimeout(this.#phase, timeoutMs));
  }

  #mark(phase: keyof StartTimings): void {
    const nowMs = this.#clock.monotonicMs();
    this.timings[phase] = nowMs - this.#startMs;
    this.#startMs = nowMs;
  }
}
