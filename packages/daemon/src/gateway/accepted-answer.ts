import type { ServerResponse } from 'node:http';
import type { SubmittedTask } from '../invocation/async/async-request.ts';
import { endAnswer } from './end-answer.ts';

const NOTHING = Buffer.alloc(0);

/** FC's answer to an asynchronous invocation: 202 without a body, the task's id in a header. */
export function sendAccepted(
  response: ServerResponse,
  requestId: string,
  { taskId }: SubmittedTask,
  headers: readonly string[] = [],
): void {
  if (response.destroyed) return;
  response.writeHead(202, [
    'Content-Length',
    '0',
    'x-fc-request-id',
    requestId,
    'x-fc-async-task-id',
    taskId,
    ...headers,
  ]);
  endAnswer(response, NOTHING);
}
