import type { Readable } from 'node:stream';
import type { TriggerKind } from '../../model/trigger-kind.ts';
import type { HttpRequest } from '../../transport/transport.ts';

/** The request behind an HTTP trigger, without its body: what the later run sees of it. */
export type HttpHead = Pick<
  HttpRequest,
  'method' | 'url' | 'base' | 'rawHeaders' | 'remoteAddress' | 'scheme'
>;

/** What is to be run later. */
export interface AsyncRequest {
  readonly functionName: string;
  /** Version or alias; absent: LATEST. Resolved again for each try. */
  readonly qualifier?: string | undefined;
  /** The event, or the body of `http`. A stream is read to its end; large ones go to the disk as they come. */
  readonly payload: Buffer | Readable;
  /** The same id of one function twice runs once; absent: the request id becomes the task's. */
  readonly taskId?: string | undefined;
  /** Absent: a new one. The first try runs under it. */
  readonly requestId?: string | undefined;
  readonly trigger: TriggerKind;
  /** Present where the run is that of an HTTP trigger. */
  readonly http?: HttpHead | undefined;
  /** Not before so many milliseconds. */
  readonly delayMs?: number | undefined;
  /** Hex SHA-256 that the payload must have; SIGNATURE_INVALID otherwise. */
  readonly payloadSha256?: string | undefined;
}

export interface SubmittedTask {
  readonly taskId: string;
  /** Of the first try; of a duplicate, that of the task which was there. */
  readonly requestId: string;
  readonly isDuplicate: boolean;
}

/**
 * Takes invocations to be run later. When `submit` resolves the invocation is on disk. Rejects, with nothing accepted,
 * with FUNCTION_NOT_FOUND and its like, INVALID_ARGUMENT for the task id, PAYLOAD_TOO_LARGE, QUEUE_FULL, STORE_FAILED.
 */
export interface AsyncSubmitter {
  submit(request: AsyncRequest): Promise<SubmittedTask>;
}
