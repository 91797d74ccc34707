import { textField } from '../../base/text-field.ts';
import type { AsyncTask } from '../../model/async-task.ts';

/** Each of payload and answer; what is larger is named instead. */
export const EVENT_PART_BYTES_MAX = 64 * 1024;
/** A whole event, which escapes may make longer than its parts; below what a queue takes by default. */
const EVENT_BYTES_MAX = 192 * 1024;

export interface EventParts {
  readonly task: AsyncTask;
  readonly functionArn: string;
  readonly timestamp: number;
  /** Undefined where it is larger than an event holds. */
  readonly payload: Buffer | undefined;
  /** Likewise; of a task without a result as well. */
  readonly result: Buffer | undefined;
}

/**
 * The JSON that a destination is sent (FC 3.0, result callback): text as it is; other bytes as base64, which a field of
 * Thaw's own says; and of what is too large where it can be fetched.
 */
export function destinationEvent(parts: EventParts): Buffer {
  const event = eventOf(parts);
  if (event.length <= EVENT_BYTES_MAX) return event;
  return eventOf({ ...parts, payload: undefined, result: undefined });
}

function eventOf({ task, functionArn, timestamp, payload, result }: EventParts): Buffer {
  const { status, tries, error } = task;
  const hasSucceeded = status === 'Succeeded';
  const answer = hasSucceeded ? bytesField(task, 'result', 'responsePayload', result) : errorField(task);
  return Buffer.from(
    JSON.stringify({
      timestamp,
      requestContext: {
        requestId: task.requestId,
        functionArn,
        condition: conditionOf(task),
        approximateInvokeCount: tries + Number(hasSucceeded),
        taskId: task.taskId,
      },
      ...bytesField(task, 'payload', 'requestPayload', payload),
      responseContext: {
        statusCode: statusCodeOf(task),
        functionError: error?.errorType === undefined ? (error?.code ?? '') : 'UnhandledInvocationError',
      },
      ...answer,
    }),
  );
}

function conditionOf({ status }: AsyncTask): string {
  if (status === 'Succeeded') return 'Success';
  if (status === 'Expired') return 'EventAgeExceeded';
  return status === 'Failed' ? 'RetriesExhausted' : status;
}

function statusCodeOf({ resultHead }: AsyncTask): number {
  const head: unknown = resultHead === undefined ? undefined : JSON.parse(resultHead);
  const isHead = typeof head === 'object' && head !== null && 'status' in head;
  return isHead && typeof head.status === 'number' ? head.status : 200;
}

function errorField({ error }: AsyncTask): object {
  if (error === undefined) return { responsePayload: '' };
  const { errorType = error.code, message: errorMessage, stackTrace } = error;
  return { responsePayload: JSON.stringify({ errorType, errorMessage, stackTrace }) };
}

function bytesField(
  task: AsyncTask,
  which: 'payload' | 'result',
  field: string,
  bytes: Buffer | undefined,
): object {
  const size = task[which]?.size ?? 0;
  if (size === 0) return { [field]: '' };
  if (bytes === undefined) {
    const { functionName, taskId } = task;
    const path = `/thaw/v1/functions/${functionName}/tasks/${taskId}/${which}`;
    return { [field]: '', [`${field}Reference`]: { size, path } };
  }
  return textField(field, bytes);
}
