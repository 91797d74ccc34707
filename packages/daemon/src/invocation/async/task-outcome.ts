import type { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { AsyncTask, DueTask, FinalStatus, TaskError } from '../../model/async-task.ts';

/**
 * Who is told how asynchronous invocations end: destinations. What is to be handed on is written with the outcome, in
 * one commit, so that a crash loses none.
 */
export interface OutcomeHandler {
  /** Whether anything is to be done about such an end. Asked just before it is written, so it may look at memory only. */
  isAwaited(task: DueTask, status: FinalStatus): boolean;
  /**
   * The outcome is on disk: `task` has its status, error and result. Called until it resolves, after a restart as well,
   * so at least once. Gives the task's `destinationStatus`, or
   * undefined where it is to be asked again later.
   */
  onSettled(task: AsyncTask): Promise<string | undefined>;
}

export const NO_OUTCOME_HANDLER: OutcomeHandler = {
  isAwaited: () => false,
  onSettled: () => Promise.resolve(''),
};

const STACK_FRAMES_MAX = 50;
const MESSAGE_CHARACTERS_MAX = 4096;

/** What is kept of an error. */
export function taskErrorFrom(error: ThawError): TaskError {
  const { functionError } = error;
  if (functionError === undefined) {
    return { code: error.code, message: error.message.slice(0, MESSAGE_CHARACTERS_MAX) };
  }
  return {
    code: error.code,
    message: functionError.errorMessage.slice(0, MESSAGE_CHARACTERS_MAX),
    errorType: functionError.errorType,
    stackTrace: (functionError.stackTrace ?? []).slice(0, STACK_FRAMES_MAX),
  };
}
