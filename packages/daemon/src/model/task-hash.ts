import { hash } from 'node:crypto';
import type { AsyncTask } from './async-task.ts';

/** Hex SHA-256, one for each task that was ever accepted: another task of the same id later has another request. */
export function taskHash({ functionName, taskId, requestId }: AsyncTask): string {
  return hash('sha256', `${functionName}\n${taskId}\n${requestId}`);
}
