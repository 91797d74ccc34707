import type { Clock } from '../base/clock.ts';
import type { DeadlineWheel } from '../base/deadline-wheel.ts';
import type { RunnableVersion } from '../model/runnable.ts';
import { Rhythm } from './rhythm.ts';

export interface RhythmsDeps {
  readonly clock: Clock;
  readonly wheel: DeadlineWheel;
  /** Told when a call is expected soon; absent: nothing is expected of any rhythm. */
  readonly onExpected?: ((rhythm: Rhythm) => void) | undefined;
}

/** The rhythm of every function that was called and is still there: it outlives the function's instances. */
export class Rhythms {
  readonly #deps: RhythmsDeps;
  readonly #byFunction = new Map<string, Rhythm>();
  #isClosed = false;

  constructor(deps: RhythmsDeps) {
    this.#deps = deps;
  }

  of(functionName: string): Rhythm {
    let rhythm = this.#byFunction.get(functionName);
    if (rhythm === undefined) {
      rhythm = new Rhythm();
      this.#byFunction.set(functionName, rhythm);
    }
    return rhythm;
  }

  /** A call has come while nothing of the function ran. */
  wake(rhythm: Rhythm, { memoryMb }: RunnableVersion): void {
    if (rhythm.quietSinceMs === undefined) return;
    rhythm.wake(this.#deps.clock.monotonicMs(), memoryMb);
    if (rhythm.prewarm !== undefined) this.#deps.wheel.clear(rhythm.prewarm);
    rhythm.prewarm = undefined;
  }

  /** The function's last call has ended. */
  rest(functionName: string, rhythm: Rhythm): void {
    const { clock, wheel, onExpected } = this.#deps;
    rhythm.rest(clock.monotonicMs());
    const prewarmMs = rhythm.plan?.prewarmMs ?? 0;
    if (onExpected === undefined || prewarmMs === 0 || this.#isClosed) return;
    rhythm.prewarm = wheel.set(prewarmMs, () => {
      rhythm.prewarm = undefined;
      if (this.#byFunction.get(functionName) === rhythm) onExpected(rhythm);
    });
  }

  /** The function is gone. */
  forget(functionName: string): void {
    const prewarm = this.#byFunction.get(functionName)?.prewarm;
    if (prewarm !== undefined) this.#deps.wheel.clear(prewarm);
    this.#byFunction.delete(functionName);
  }

  close(): void {
    this.#isClosed = true;
    for (const functionName of this.#byFunction.keys()) this.forget(functionName);
  }
}
