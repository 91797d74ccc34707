import type { Clock } from '../base/clock.ts';
import type { DeadlineWheel } from '../base/deadline-wheel.ts';
import type { HookName, RuntimeConnection } from '../transport/runtime-connection.ts';

export interface HookRun {
  readonly hook: HookName;
  readonly ms: number;
  /** Undefined when it went well. */
  readonly failure: string | undefined;
}

/**
 * Runs one hook for at most its timeout and calls back once. A hook that fails or does not end has no say in what follows:
 * the transition goes on, and the failure is told.
 */
export function runHook(
  { clock, wheel }: { readonly clock: Clock; readonly wheel: DeadlineWheel },
  connection: RuntimeConnection,
  hook: HookName,
  timeoutMs: number,
  onEnd: (run: HookRun) => void,
): void {
  const startMs = clock.monotonicMs();
  let isEnded = false;
  const end = (failure: string | undefined): void => {
    if (isEnded) return;
    isEnded = true;
    wheel.clear(deadline);
    onEnd({ hook, ms: clock.monotonicMs() - startMs, failure });
  };
  const deadline = wheel.set(timeoutMs, () => end(`it did not end within ${timeoutMs / 1000} seconds`));
  connection.runHook(hook, (error) =>
    end(error === undefined ? undefined : `${error.errorType}: ${error.errorMessage}`),
  );
}
