import { Worker } from 'node:worker_threads';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { AsyncTask, TaskError, TaskEvent } from '../../model/async-task.ts';
import type {
  DeadLetterQuery,
  Enqueued,
  GivenBytes,
  Lease,
  Leased,
  Line,
  NewTask,
  Progress,
  Queue,
  QueueCounts,
  Redrive,
  Release,
  Settlement,
  StopAnswer,
  TaskPage,
  TaskQuery,
  TrimBounds,
  Trimmed,
} from '../queue.ts';
import type { QueueDatabase } from './queue-database.ts';
import type {
  FromQueueThread,
  QueueCall,
  QueueMethod,
  QueueReply,
  QueueThreadData,
  ToQueueThread,
} from './queue-messages.ts';
import { errorOf } from './told-error.ts';

/** Calls of one commit: more would make the first of them wait for long. */
const COMMIT_CALLS_MAX = 1024;
/** Commits under way: while the disk is busy with one the thread prepares nothing, so one more waits for it there. */
const COMMITS_MAX = 2;
/**
 * What came of a run waits so long at most for others to share a commit with, counted from the last one: nobody waits
 * for it, and each commit costs as much as what several tasks write.
 */
const PATIENT_MS_MAX = 5;
/** What came of a run, or how far it is. */
const PATIENT: ReadonlySet<QueueMethod> = new Set(['progress', 'release', 'settle']);
/** What may be on its way to the disk before callers from outside are refused. */
const PENDING_CALLS_MAX = 20_000;
const PENDING_BYTES_MAX = 128 * 1024 * 1024;
const WAITING_MAX_DEFAULT = 5_000_000;

export interface SqliteQueueOptions {
  readonly waitingMax?: number;
  /** Bytes that the database's file may have; absent: as many as the disk. */
  readonly fileBytesMax?: number;
  /** The thread has died: nothing is accepted any more. */
  readonly onLost?: (error: ThawError) => void;
}

interface Pending {
  readonly call: QueueCall;
  readonly bytes: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: ThawError) => void;
}

/**
 * `Queue` in a SQLite file that a thread of its own writes: the event loop of the gateway never waits for a disk.
 * What is asked while commits are under way goes into the next one together, so the more is asked the more shares one
 * wait for the disk.
 */
export class SqliteQueue implements Queue {
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  readonly #opened = Promise.withResolvers<void>();
  /** Not yet sent; then sent, by commit. */
  #pending: Pending[] = [];
  readonly #commits: (readonly Pending[])[] = [];
  #pendingBytes = 0;
  #pendingCalls = 0;
  /** Of those that are not yet sent, how many somebody waits for. */
  #urgent = 0;
  #sentMs = -Infinity;
  #isScheduled = false;
  #later: NodeJS.Timeout | undefined;
  #isClosed = false;
  #lost: ThawError | undefined;
  #onIdle: (() => void) | undefined;

  /** Opens `<directory>/queue.db`, which ends the leases of whoever had it before. Rejects with STORE_FAILED. */
  static async open(
    directory: string,
    nowMs: number,
    { waitingMax = WAITING_MAX_DEFAULT, fileBytesMax, onLost }: SqliteQueueOptions = {},
  ): Promise<SqliteQueue> {
    const data: QueueThreadData = { directory, nowMs, options: { waitingMax, fileBytesMax } };
    const worker = new Worker(new URL('queue-thread.ts', import.meta.url), { workerData: data });
    const queue = new SqliteQueue(worker, onLost);
    await queue.#opened.promise;
    return queue;
  }

  private constructor(worker: Worker, onLost: ((error: ThawError) => void) | undefined) {
    this.#worker = worker;
    this.#exited = new Promise((resolve) => worker.once('exit', () => resolve()));
    worker.on('message', (message: FromQueueThread) => {
      if (message.kind === 'replies') this.#onReplies(message.replies);
      else if (message.kind === 'opened') this.#opened.resolve();
      else this.#opened.reject(errorOf(message.error));
    });
    worker.once('error', (cause) => {
      const error = lost(cause);
      this.#opened.reject(error);
      this.#lose(error);
      onLost?.(error);
    });
  }

  enqueue(task: NewTask): Promise<Enqueued> {
    if (this.#pendingCalls >= PENDING_CALLS_MAX || this.#pendingBytes >= PENDING_BYTES_MAX) {
      return Promise.reject(
        new ThawError('QUEUE_FULL', `${this.#pendingCalls} writes wait for the disk already`, {
          retryAfterS: 1,
        }),
      );
    }
    return this.#call('enqueue', [{ ...task, payload: ownBytes(task.payload) }], sizeOf(task.payload));
  }

  lease(functionName: string, limit: number, nowMs: number): Promise<Leased> {
    return this.#call('lease', [functionName, limit, nowMs]);
  }

  lines(): Promise<readonly Line[]> {
    return this.#call('lines', []);
  }

  progress(lease: Lease, progress: Progress): Promise<boolean> {
    return this.#call('progress', [lease, progress]);
  }

  release(lease: Lease, release: Release): Promise<boolean> {
    return this.#call('release', [lease, release]);
  }

  settle(lease: Lease, settlement: Settlement): Promise<boolean> {
    const { result } = settlement;
    if (result === undefined) return this.#call('settle', [lease, settlement]);
    return this.#call('settle', [lease, { ...settlement, result: ownBytes(result) }], sizeOf(result));
  }

  stop(functionName: string, taskId: string, event: TaskEvent): Promise<StopAnswer> {
    return this.#call('stop', [functionName, taskId, event]);
  }

  async invalidate(functionName: string, error: TaskError, event: TaskEvent): Promise<number> {
    const lastSeq = await this.#call('lastSeq', []);
    let settled = 0;
    for (;;) {
      const step = await this.#call('invalidateStep', [functionName, lastSeq, error, event]);
      settled += step.settled;
      if (!step.isMore) return settled;
    }
  }

  get(functionName: string, taskId: string): Promise<AsyncTask | undefined> {
    return this.#call('get', [functionName, taskId]);
  }

  list(query: TaskQuery): Promise<TaskPage> {
    return this.#call('list', [query]);
  }

  bytes(seq: number, which: 'payload' | 'result'): Promise<Uint8Array | undefined> {
    return this.#call('bytes', [seq, which]);
  }

  toHandOn(afterSeq: number, limit: number): Promise<readonly AsyncTask[]> {
    return this.#call('toHandOn', [afterSeq, limit]);
  }

  handedOn(seq: number, destinationStatus: string): Promise<void> {
    return this.#call('handedOn', [seq, destinationStatus]);
  }

  deadLetters(query: DeadLetterQuery): Promise<TaskPage> {
    return this.#call('deadLetters', [query]);
  }

  redrive(functionName: string, taskId: string, redrive: Redrive): Promise<boolean> {
    return this.#call('redrive', [functionName, taskId, redrive]);
  }

  removeDead(functionName: string, taskId: string): Promise<'removed' | 'held' | 'unknown'> {
    return this.#call('removeDead', [functionName, taskId]);
  }

  trim(bounds: TrimBounds): Promise<Trimmed> {
    return this.#call('trim', [bounds]);
  }

  blobs(): Promise<ReadonlySet<string>> {
    return this.#call('blobs', []);
  }

  counts(): Promise<QueueCounts> {
    return this.#call('counts', []);
  }

  async close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      this.#schedule();
      if (this.#pendingCalls > 0 && this.#lost === undefined) {
        await new Promise<void>((resolve) => {
          this.#onIdle = resolve;
        });
      }
      this.#post({ close: true });
    }
    await this.#exited;
  }

  #call<M extends QueueMethod>(
    method: M,
    args: Parameters<QueueDatabase[M]>,
    bytes = 0,
  ): Promise<ReturnType<QueueDatabase[M]>> {
    if (this.#isClosed)
      return Promise.reject(new ThawError('SHUTTING_DOWN', 'the platform is shutting down'));
    if (this.#lost !== undefined) return Promise.reject(this.#lost);
    this.#pendingCalls += 1;
    this.#pendingBytes += bytes;
    if (!PATIENT.has(method)) this.#urgent += 1;
    return new Promise((resolve, reject) => {
      this.#pending.push({
        call: { method, args },
        bytes,
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the reply of a method is what it returns
        resolve: (value) => resolve(value as ReturnType<QueueDatabase[M]>),
        reject,
      });
      this.#schedule();
    });
  }

  /** At the end of the turn, so that all that it brought goes together. */
  #schedule(): void {
    if (this.#isScheduled || this.#commits.length >= COMMITS_MAX || this.#pending.length === 0) return;
    const sinceMs = performance.now() - this.#sentMs;
    const isPatient = this.#urgent === 0 && this.#pending.length < COMMIT_CALLS_MAX && !this.#isClosed;
    if (isPatient && sinceMs < PATIENT_MS_MAX) {
      this.#later ??= setTimeout(() => {
        this.#later = undefined;
        this.#schedule();
      }, PATIENT_MS_MAX - sinceMs);
      return;
    }
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#send();
    });
  }

  #send(): void {
    if (this.#lost !== undefined || this.#pending.length === 0) return;
    const commit = this.#pending.slice(0, COMMIT_CALLS_MAX);
    this.#pending = this.#pending.slice(COMMIT_CALLS_MAX);
    this.#urgent = this.#pending.reduce((count, { call }) => count + Number(!PATIENT.has(call.method)), 0);
    this.#sentMs = performance.now();
    clearTimeout(this.#later);
    this.#later = undefined;
    this.#commits.push(commit);
    this.#post({ calls: commit.map(({ call }) => call) });
    this.#schedule();
  }

  #post(message: ToQueueThread): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    this.#worker.postMessage(message);
  }

  #onReplies(replies: readonly QueueReply[]): void {
    const commit = this.#commits.shift() ?? [];
    for (const [index, pending] of commit.entries()) {
      const reply = replies[index];
      this.#pendingCalls -= 1;
      this.#pendingBytes -= pending.bytes;
      if (reply === undefined || 'error' in reply) {
        pending.reject(reply === undefined ? lost(undefined) : errorOf(reply.error));
      } else {
        pending.resolve(reply.value);
      }
    }
    this.#schedule();
    if (this.#pendingCalls === 0) this.#onIdle?.();
  }

  #lose(error: ThawError): void {
    this.#lost = error;
    for (const { reject } of [...this.#commits.splice(0).flat(), ...this.#pending.splice(0)]) reject(error);
    this.#pendingCalls = 0;
    this.#onIdle?.();
  }
}

/** A copy of its own: a message carries the whole memory that a view is part of. */
function ownBytes(given: GivenBytes): GivenBytes {
  return 'bytes' in given ? { bytes: new Uint8Array(given.bytes) } : given;
}

function sizeOf(given: GivenBytes): number {
  return 'bytes' in given ? given.bytes.length : 0;
}

function lost(cause: unknown): ThawError {
  return new ThawError('STORE_FAILED', 'the thread that writes the queue is gone', { cause });
}
