import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { SandboxExit } from '../sandbox/sandbox.ts';

/** What the instance was doing when its processes ended. */
export type ExitPhase = 'boot' | 'load' | 'initializer' | 'invocation';

const DOING: Record<ExitPhase, string> = {
  boot: 'while its runtime started',
  load: 'while its code was loaded',
  initializer: 'while its initializer ran',
  invocation: 'while it handled a request',
};

/** What V8 writes last when its heap is full; the process then aborts. */
const HEAP_EXHAUSTED = /heap out of memory|Reached heap limit/;

/**
 * Turns the end of an instance's processes into the error that whoever waited for it gets. What they wrote last is part of
 * it only where it can belong to nobody else's request.
 */
export function exitError(
  functionName: string,
  memoryMb: number,
  phase: ExitPhase,
  exit: SandboxExit,
  lastStderr: string,
  tellsStderr = false,
): ThawError {
  const details = { function: functionName, exitCode: exit.code ?? -1, signal: exit.signal ?? '' };
  if (exit.outOfMemory || HEAP_EXHAUSTED.test(lastStderr)) {
    const message = `function '${functionName}' ran out of its ${memoryMb} MB of memory ${DOING[phase]}`;
    return functionFailure('FUNCTION_OUT_OF_MEMORY', 'OutOfMemory', message, details);
  }
  const how = exit.signal === null ? `exited with code ${exit.code}` : `was ended by ${exit.signal}`;
  if (phase === 'boot') {
    const reason = lastStderr.trim().split('\n').at(-1) ?? '';
    return new ThawError(
      'SANDBOX_FAILED',
      `an instance of function '${functionName}' ${how} before its runtime was up`,
      {
        details,
        ...(reason === '' ? {} : { cause: new Error(reason) }),
      },
    );
  }
  const code =
    phase === 'initializer' ? 'INITIALIZER_FAILED' : phase === 'load' ? 'CODE_NOT_LOADED' : 'FUNCTION_EXITED';
  const message = `function '${functionName}' ${how} ${DOING[phase]}`;
  const complaint = tellsStderr ? lastStderr.trim() : '';
  return functionFailure(
    code,
    'ProcessExited',
    complaint === '' ? message : `${message}: ${complaint}`,
    details,
  );
}

type FunctionFailureCode =
  | 'CODE_NOT_LOADED'
  | 'FUNCTION_EXITED'
  | 'FUNCTION_OUT_OF_MEMORY'
  | 'FUNCTION_TIMED_OUT'
  | 'INITIALIZER_FAILED'
  | 'INITIALIZER_TIMED_OUT';

const TIMEOUTS: Record<
  Exclude<ExitPhase, 'boot'>,
  readonly [FunctionFailureCode, (name: string) => string]
> = {
  load: ['CODE_NOT_LOADED', (name) => `the code of function '${name}' was not loaded`],
  initializer: ['INITIALIZER_TIMED_OUT', (name) => `the initializer of function '${name}' timed out`],
  invocation: ['FUNCTION_TIMED_OUT', (name) => `function '${name}' timed out`],
};

/** The error of whoever waited when the time of a phase was up. */
export function timeoutError(functionName: string, phase: ExitPhase, timeoutMs: number): ThawError {
  const details = { function: functionName, timeoutMs };
  const after = `after ${timeoutMs / 1000} seconds`;
  if (phase === 'boot') {
    const message = `the runtime of function '${functionName}' did not come up ${after}`;
    return new ThawError('INSTANCE_START_TIMED_OUT', message, { details });
  }
  const [code, what] = TIMEOUTS[phase];
  return functionFailure(code, 'FunctionTimedOut', `${what(functionName)} ${after}`, details);
}

function functionFailure(
  code: FunctionFailureCode,
  errorType: string,
  message: string,
  details: Record<string, string | number>,
): ThawError {
  return new ThawError(code, message, {
    details,
    functionError: { errorType, errorMessage: message, stackTrace: [] },
  });
}
