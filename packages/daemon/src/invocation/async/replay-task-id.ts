import { randomBytes } from 'node:crypto';

const PREFIX = 'replay-';
/** Hex digits, which tell the replays of one invocation apart. */
const SUFFIX_BYTES = 4;

/** A new task's id that names the invocation which it runs again. */
export function replayTaskId(requestId: string): string {
  return `${PREFIX}${requestId}-${randomBytes(SUFFIX_BYTES).toString('hex')}`;
}

/** The request id in a task's id, where it holds one. */
export function originOfReplay(taskId: string): string | undefined {
  const suffixLength = 1 + 2 * SUFFIX_BYTES;
  if (!taskId.startsWith(PREFIX) || taskId.length <= PREFIX.length + suffixLength) return undefined;
  return taskId.slice(PREFIX.length, -suffixLength);
}
