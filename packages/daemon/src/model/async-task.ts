import type { TaskStatus } from '@thaw/protocol/fc/async-task.ts';
import type { TriggerKind } from './trigger-kind.ts';

export type FinalStatus = Extract<TaskStatus, 'Succeeded' | 'Failed' | 'Stopped' | 'Expired' | 'Invalid'>;

export interface TaskEvent {
  readonly status: TaskStatus;
  /** Wall time in milliseconds. */
  readonly at: number;
  readonly detail: string;
}

/** Why a task did not succeed: the function's own error where it has one, else the platform's. */
export interface TaskError {
  readonly code: string;
  readonly message: string;
  readonly errorType?: string;
  readonly stackTrace?: readonly unknown[];
}

/** Bytes that are kept apart from their task: in the queue's own file, or in a blob where they are many. */
export interface KeptBytes {
  readonly size: number;
  /** Hex SHA-256 of the blob; absent: they are in the queue's file. */
  readonly blob?: string;
}

/** What whoever runs a task must know of it. */
export type DueTask = Pick<
  AsyncTask,
  | 'seq'
  | 'functionName'
  | 'taskId'
  | 'qualifier'
  | 'requestId'
  | 'trigger'
  | 'http'
  | 'enqueuedAt'
  | 'tries'
  | 'deferrals'
  | 'payload'
>;

/** An asynchronous invocation as it is kept. Times are wall time in milliseconds. */
export interface AsyncTask {
  /** Grows with every task of the queue. */
  readonly seq: number;
  readonly functionName: string;
  readonly taskId: string;
  readonly qualifier: string;
  readonly requestId: string;
  readonly trigger: TriggerKind;
  /** JSON of the request that an HTTP trigger took, without its body. */
  readonly http?: string;
  readonly status: TaskStatus;
  readonly enqueuedAt: number;
  /** Not run before. */
  readonly dueAt: number;
  /** Of the last try. */
  readonly startedAt?: number;
  readonly endedAt?: number;
  /** Tries that the function has failed. */
  readonly tries: number;
  /** Times that it was put off without having been tried: throttled, or for a fault of the platform. */
  readonly deferrals: number;
  readonly instanceId: string;
  readonly versionId: string;
  readonly error?: TaskError;
  readonly events: readonly TaskEvent[];
  readonly payload: KeptBytes;
  readonly result?: KeptBytes;
  /** JSON of status and headers, where the result is an HTTP response. */
  readonly resultHead?: string;
  /** How handing the outcome on went; empty where nothing was to be handed on. */
  readonly destinationStatus: string;
}
