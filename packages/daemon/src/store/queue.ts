import type { TaskStatus } from '@thaw/protocol/fc/async-task.ts';
import type { AsyncTask, DueTask, FinalStatus, TaskError, TaskEvent } from '../model/async-task.ts';
import type { TriggerKind } from '../model/trigger-kind.ts';

/**
 * Asynchronous invocations from acceptance to the end of what is kept of them: durable, delayed, leased, dead-lettered.
 * Every function has a line of its own, so none waits behind another.
 *
 * Contract (each number is named by the contract suite):
 *  1. What an `enqueue`, `release` or `settle` that resolved has written is on disk: it survives `kill -9`.
 *  2. Function and task id name one task: while it is kept, a further `enqueue` writes nothing and tells of it.
 *  3. `lease` gives due tasks of one function, the longest due first, each to one lease at a time. Leases end with the
 *     queue: opened again, it gives out what was leased and not settled, with its counts as they were.
 *  4. `progress`, `release` and `settle` under a lease that is not the task's newest change nothing and say so.
 *  5. A task is not leased before it is due; `lease` tells when the next one is, `lines` what waits in every line.
 *  6. A settled task is never leased again. Status, error and result are written as one, and with them that its outcome
 *     is still to be handed on, until `handedOn`.
 *  7. `stop` settles a task that waits; one that is leased is marked, and settled as stopped when it is released, or its
 *     lease is lost.
 *  8. `list` goes by the time of acceptance; its pages give nothing twice and leave nothing out that was there all along.
 *  9. `invalidate` settles what waited in a function's line when it was called, and nothing that came later.
 * 10. Where nothing can be accepted nothing is: QUEUE_FULL beyond a bound, STORE_FAILED where the disk refuses. Other
 *     calls of the same moment are not harmed.
 * 11. `trim` removes settled tasks beyond its bounds, the longest settled first, and none that is still to be handed on.
 * 12. `redrive` makes a waiting task of a dead letter's payload and ends its being one, in one commit; the old task stays as a
 *     settled one. `deadLetters` has the newest first, and its pages give nothing twice. `removeDead` removes one.
 * 13. `close` ends what was asked for before it; what is asked later rejects with SHUTTING_DOWN.
 */
export interface Queue {
  enqueue(task: NewTask): Promise<Enqueued>;
  /** At most `limit` tasks that are due at `nowMs`. */
  lease(functionName: string, limit: number, nowMs: number): Promise<Leased>;
  lines(): Promise<readonly Line[]>;
  /** Tells how far a leased task is. */
  progress(lease: Lease, progress: Progress): Promise<boolean>;
  /** Puts a leased task back in its line. */
  release(lease: Lease, release: Release): Promise<boolean>;
  settle(lease: Lease, settlement: Settlement): Promise<boolean>;
  stop(functionName: string, taskId: string, event: TaskEvent): Promise<StopAnswer>;
  /** How many it settled. */
  invalidate(functionName: string, error: TaskError, event: TaskEvent): Promise<number>;
  get(functionName: string, taskId: string): Promise<AsyncTask | undefined>;
  list(query: TaskQuery): Promise<TaskPage>;
  /** What of a task's bytes is in the queue itself; undefined where they are a blob, or there are none. */
  bytes(seq: number, which: 'payload' | 'result'): Promise<Uint8Array | undefined>;
  /** Settled tasks whose outcome is to be handed on, from `afterSeq` on. */
  toHandOn(afterSeq: number, limit: number): Promise<readonly AsyncTask[]>;
  handedOn(seq: number, destinationStatus: string): Promise<void>;
  deadLetters(query: DeadLetterQuery): Promise<TaskPage>;
  /** False where there is no such dead letter. Rejects with QUEUE_FULL. */
  redrive(functionName: string, taskId: string, redrive: Redrive): Promise<boolean>;
  /** `held`: its outcome is still to be handed on. */
  removeDead(functionName: string, taskId: string): Promise<'removed' | 'held' | 'unknown'>;
  trim(bounds: TrimBounds): Promise<Trimmed>;
  /** Every blob that a task names. */
  blobs(): Promise<ReadonlySet<string>>;
  counts(): Promise<QueueCounts>;
  close(): Promise<void>;
}

/** `bytes` go with the task; `blob` names bytes that are on disk already. */
export type GivenBytes = { readonly bytes: Uint8Array } | { readonly blob: string; readonly size: number };

export interface NewTask {
  readonly functionName: string;
  readonly taskId: string;
  readonly qualifier: string;
  readonly requestId: string;
  readonly trigger: TriggerKind;
  readonly http?: string;
  readonly payload: GivenBytes;
  readonly enqueuedAt: number;
  readonly dueAt: number;
}

export interface Enqueued {
  /** The request id of the task that is kept. */
  readonly requestId: string;
  readonly isDuplicate: boolean;
}

/** Proof of being the one who runs a task. */
export interface Lease {
  readonly seq: number;
  readonly token: number;
}

export interface LeasedTask {
  readonly lease: Lease;
  readonly task: DueTask;
  /** Undefined where the payload is a blob. */
  readonly payload: Uint8Array | undefined;
}

export interface Leased {
  readonly tasks: readonly LeasedTask[];
  /** When the line's next task is due, which may be already; undefined: none waits. */
  readonly nextDueAt: number | undefined;
}

export interface Line {
  readonly functionName: string;
  readonly nextDueAt: number;
}

export interface Progress {
  readonly status: Extract<TaskStatus, 'Running'>;
  readonly startedAt: number;
  readonly instanceId: string;
  readonly versionId: string;
  readonly events: readonly TaskEvent[];
}

export interface Release {
  readonly status: Extract<TaskStatus, 'Enqueued' | 'Retrying'>;
  readonly dueAt: number;
  readonly tries: number;
  readonly deferrals: number;
  readonly error?: TaskError;
  readonly events: readonly TaskEvent[];
}

export interface Settlement {
  readonly status: FinalStatus;
  readonly tries: number;
  readonly startedAt?: number;
  readonly endedAt: number;
  readonly instanceId: string;
  readonly versionId: string;
  readonly error?: TaskError;
  readonly result?: GivenBytes;
  readonly resultHead?: string;
  readonly events: readonly TaskEvent[];
  readonly isToHandOn: boolean;
}

/** `stopped` and `settled` say how it ended, `leased` that its holder has to end it. */
export type StopAnswer = 'unknown' | 'stopped' | 'leased' | 'settled';

export interface TaskQuery {
  readonly functionName: string;
  readonly qualifier?: string | undefined;
  readonly statuses?: readonly TaskStatus[] | undefined;
  /** What task ids begin with. */
  readonly prefix?: string | undefined;
  /** Acceptance, both ends included. */
  readonly enqueuedFrom?: number | undefined;
  readonly enqueuedTo?: number | undefined;
  readonly order: 'asc' | 'desc';
  readonly limit: number;
  /** The `next` of the page before. */
  readonly after?: string | undefined;
}

export interface DeadLetterQuery {
  /** Absent: of all functions. */
  readonly functionName?: string | undefined;
  readonly taskId?: string | undefined;
  readonly limit: number;
  /** The `next` of the page before. */
  readonly after?: string | undefined;
}

/** The task that a dead letter becomes. */
export interface Redrive {
  readonly taskId: string;
  readonly requestId: string;
  readonly trigger: TriggerKind;
  readonly at: number;
}

export interface TaskPage {
  readonly tasks: readonly AsyncTask[];
  /** Where the next page starts; absent when this is the last one. */
  readonly next?: string;
}

export interface TrimBounds {
  /** Settled before this are removed: those that ran as they should have, and dead letters. */
  readonly settledBefore: number;
  readonly deadLettersBefore: number;
  readonly settledMax: number;
  /** Of payloads and results together, those in blobs included. */
  readonly settledBytesMax: number;
}

export interface Trimmed {
  readonly removed: number;
  readonly removedBlobs: boolean;
  /** More is to be removed: call again. */
  readonly isMore: boolean;
}

export interface QueueCounts {
  readonly waiting: number;
  readonly leased: number;
  readonly settled: number;
  readonly settledBytes: number;
}
