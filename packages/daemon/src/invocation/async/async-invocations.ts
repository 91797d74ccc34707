import { hash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { DeadlineWheel } from '../../base/deadline-wheel.ts';
import { newRequestId } from '../../base/ids.ts';
import type { PlatformLog } from '../../base/platform-log.ts';
import { ProcessorTime } from '../../base/processor-time.ts';
import type { AsyncTask, DueTask, TaskError } from '../../model/async-task.ts';
import { askedBy, eventTaskId } from '../../model/event-task-id.ts';
import { LATEST } from '../../model/function.ts';
import type { RunnableVersion } from '../../model/runnable.ts';
import type { Blobs } from '../../store/blobs.ts';
import type {
  DeadLetterQuery,
  Enqueued,
  GivenBytes,
  NewTask,
  Queue,
  QueueCounts,
  TaskPage,
  TaskQuery,
} from '../../store/queue.ts';
import type { InvocationDeps } from '../invocation.ts';
import type { AsyncRequest, AsyncSubmitter, SubmittedTask } from './async-request.ts';
import { AsyncRun } from './async-run.ts';
import { ByteStore } from './byte-store.ts';
import { Dispatcher } from './dispatcher.ts';
import { HandOn } from './hand-on.ts';
import { DEFAULT_RETENTION, Retention, type RetentionLimits } from './retention.ts';
import type { AsyncPolicy } from './retry-policy.ts';
import { NO_OUTCOME_HANDLER, type OutcomeHandler } from './task-outcome.ts';

const TASK_ID = /^[A-Za-z_][A-Za-z0-9_-]{0,127}$/;
/** The store's failures are told so often: a full disk fails every write. */
const TELL_STORE_FAILURE_MS = 10_000;
/** What a disk that refuses has not taken by then runs again after the next start. */
const DRAIN_MS_MAX = 5_000;

export interface AsyncInvocationsDeps {
  readonly queue: Queue;
  /** For payloads and results alone: what no task names is removed. */
  readonly blobs: Blobs;
  readonly wheel: DeadlineWheel;
  readonly invocation: InvocationDeps;
  /** Throws where there is nothing to run: FUNCTION_NOT_FOUND and its like. */
  readonly resolve: (functionName: string, qualifier: string) => RunnableVersion;
  readonly policyOf: (functionName: string, qualifier: string) => AsyncPolicy;
  readonly log: PlatformLog;
  readonly retention?: RetentionLimits;
  /** Told of each task that failed for good, once that is on disk; not after a crash in between. */
  readonly onFailedForGood?: (task: DueTask, error: TaskError) => void;
  /** Whether tasks that wait are begun slowly while many are being accepted; absent: they are. */
  readonly acceptsFirst?: boolean;
}

/**
 * Asynchronous invocations: accepted when they are on disk, run when they are due, tried again as their function's
 * settings say, and kept with their result for a while. Whatever dies, none is lost, and no task runs twice at once.
 */
export class AsyncInvocations implements AsyncSubmitter {
  readonly #deps: AsyncInvocationsDeps;
  readonly #bytes: ByteStore;
  readonly #dispatcher: Dispatcher;
  readonly #handOn: HandOn;
  readonly #retention: Retention;
  #outcomes: OutcomeHandler = NO_OUTCOME_HANDLER;
  #toldStoreFailureMs = -Infinity;

  /** Nothing runs before `start`. */
  constructor(deps: AsyncInvocationsDeps) {
    this.#deps = deps;
    const { queue, blobs, wheel, invocation } = deps;
    const { clock } = invocation;
    const processors = new ProcessorTime();
    const onFailed = (error: ThawError): void => this.#tellFailure(error);
    this.#bytes = new ByteStore(queue, blobs);
    this.#handOn = new HandOn({ queue, wheel, outcomes: () => this.#outcomes, onFailed });
    const runDeps = {
      invocation,
      wheel,
      queue,
      bytes: this.#bytes,
      outcomes: () => this.#outcomes,
      resolve: deps.resolve,
      policyOf: deps.policyOf,
      onReleased: (functionName: string, dueAt: number) => this.#dispatcher.wake(functionName, dueAt),
      onSettled: (isToHandOn: boolean) => {
        if (isToHandOn) this.#handOn.notify();
      },
      onStoreFailed: onFailed,
      onFailedForGood: (task: DueTask, error: TaskError) => deps.onFailedForGood?.(task, error),
    };
    this.#dispatcher = new Dispatcher({
      clock,
      wheel,
      queue,
      run: (task, events) => new AsyncRun(runDeps, task, events),
      slotsPerInstance: (functionName) => this.#slotsPerInstance(functionName),
      idleShare: () => processors.idleShare(),
      onStoreFailed: onFailed,
      acceptsFirst: deps.acceptsFirst ?? true,
    });
    this.#retention = new Retention({
      queue,
      blobs,
      clock,
      limits: deps.retention ?? DEFAULT_RETENTION,
      onFailed,
    });
  }

  /** Runs what waits, what a crash interrupted included. `outcomes` is told of every end from now on. */
  async start(outcomes: OutcomeHandler = NO_OUTCOME_HANDLER): Promise<void> {
    this.#outcomes = outcomes;
    this.#handOn.notify();
    for (const { functionName, nextDueAt } of await this.#deps.queue.lines()) {
      this.#dispatcher.wake(functionName, nextDueAt);
    }
  }

  /** Nothing more is begun; what runs goes on. */
  async stop(): Promise<void> {
    this.#dispatcher.stop();
    this.#handOn.stop();
    await this.#retention.close();
  }

  /** After `stop`, and when the scheduler has ended all runs: what came of them is on disk. */
  async drained(): Promise<void> {
    const waited = Promise.withResolvers<void>();
    const limit = setTimeout(waited.resolve, DRAIN_MS_MAX);
    await Promise.race([this.#dispatcher.drained(), waited.promise]);
    clearTimeout(limit);
  }

  async submit(request: AsyncRequest): Promise<SubmittedTask> {
    const { functionName, qualifier = LATEST, taskId: wantedId } = request;
    if (wantedId !== undefined && !TASK_ID.test(wantedId)) throw invalidTaskId();
    this.#deps.resolve(functionName, qualifier);
    const payload = await this.#bytes.takeIn(request.payload, LIMITS.asyncPayloadBytesMax);
    requireHash(payload, request.payloadSha256);
    const now = Math.floor(this.#deps.invocation.clock.now());
    const requestId = request.requestId ?? newRequestId(now);
    const taskId = wantedId ?? requestId;
    const dueAt = now + Math.max(0, request.delayMs ?? 0);
    const { isDuplicate, requestId: keptId } = await this.#enqueue({
      functionName,
      taskId,
      qualifier,
      requestId,
      trigger: request.trigger,
      payload,
      enqueuedAt: now,
      dueAt,
      ...(request.http === undefined ? {} : { http: JSON.stringify(request.http) }),
    });
    return { taskId, requestId: keptId, isDuplicate };
  }

  /** Throws TASK_NOT_FOUND. */
  async require(functionName: string, taskId: string): Promise<AsyncTask> {
    const task = await this.#deps.queue.get(functionName, taskId);
    if (task === undefined) throw taskNotFound(functionName, taskId);
    return task;
  }

  list(query: TaskQuery): Promise<TaskPage> {
    return this.#deps.queue.list(query);
  }

  counts(): Promise<QueueCounts> {
    return this.#deps.queue.counts();
  }

  /** The bytes of a task while there are at most `bytesMax`; undefined where there are more, or none. */
  wholeBytes(task: AsyncTask, which: 'payload' | 'result', bytesMax: number): Promise<Buffer | undefined> {
    return this.#bytes.whole(task, which, bytesMax);
  }

  openBytes(task: AsyncTask, which: 'payload' | 'result'): Promise<Buffer | Readable | undefined> {
    return this.#bytes.open(task, which);
  }

  /**
   * A task that waits never runs again; one that runs is ended with its instance, as after a timeout. Stopping what was
   * stopped does nothing. Throws TASK_NOT_FOUND, or PRECONDITION_FAILED where it ended otherwise.
   */
  async stopTask(functionName: string, taskId: string): Promise<void> {
    const at = Math.floor(this.#deps.invocation.clock.now());
    const event = { status: 'Stopped', at, detail: '' } as const;
    const answer = await this.#deps.queue.stop(functionName, taskId, event);
    if (answer === 'unknown') throw taskNotFound(functionName, taskId);
    if (answer === 'settled') {
      throw new ThawError('PRECONDITION_FAILED', `task '${taskId}' of function '${functionName}' has ended`);
    }
    if (answer === 'stopped') return;
    const taken = this.#dispatcher.stopTask(functionName, taskId);
    if (taken === undefined) return;
    const { tries, deferrals } = taken.task;
    // A stopped task that is put back settles as stopped.
    const release = { status: 'Enqueued', dueAt: at, tries, deferrals, events: [] } as const;
    await this.#deps.queue.release(taken.lease, { ...release, events: [event] });
  }

  deadLetters(query: DeadLetterQuery): Promise<TaskPage> {
    return this.#deps.queue.deadLetters(query);
  }

  /** Throws TASK_NOT_FOUND, also for a task that is no dead letter. */
  async requireDeadLetter(functionName: string, taskId: string): Promise<AsyncTask> {
    const { tasks } = await this.#deps.queue.deadLetters({ functionName, taskId, limit: 1 });
    const [task] = tasks;
    if (task === undefined) throw deadLetterNotFound(functionName, taskId);
    return task;
  }

  /**
   * Runs a dead letter again, as a task of its own with all its tries; it is none from then on. Throws TASK_NOT_FOUND,
   * QUEUE_FULL, and FUNCTION_NOT_FOUND and its like where there is nothing to run it.
   */
  async redrive(functionName: string, taskId: string): Promise<{ readonly newTaskId: string }> {
    const { qualifier, trigger } = await this.requireDeadLetter(functionName, taskId);
    this.#deps.resolve(functionName, qualifier);
    const at = Math.floor(this.#deps.invocation.clock.now());
    const requestId = newRequestId(at);
    // The answer of an event that somebody wants is wanted of the new task as well.
    const asked = trigger === 'eventbridge' ? askedBy(taskId) : undefined;
    const newTaskId = asked === undefined ? requestId : eventTaskId({ ...asked, key: requestId });
    const isDone = await this.#deps.queue.redrive(functionName, taskId, {
      taskId: newTaskId,
      requestId,
      // Events of a bus come to functions in a form of their own, which hangs on the kind.
      trigger: trigger === 'eventbridge' ? trigger : 'redrive',
      at,
    });
    if (!isDone) throw deadLetterNotFound(functionName, taskId);
    this.#dispatcher.wake(functionName, at);
    return { newTaskId };
  }

  /** Throws TASK_NOT_FOUND, or PRECONDITION_FAILED while its outcome is still to be handed on. */
  async removeDeadLetter(functionName: string, taskId: string): Promise<void> {
    const answer = await this.#deps.queue.removeDead(functionName, taskId);
    if (answer === 'unknown') throw deadLetterNotFound(functionName, taskId);
    if (answer === 'held') {
      const why = `the outcome of task '${taskId}' is still to be handed on to its destination`;
      throw new ThawError('PRECONDITION_FAILED', why);
    }
    this.#retention.noteRemoval();
  }

  /** Its waiting events are invalid; one that runs ends as it would, and is not tried again. */
  functionRemoved(functionName: string): void {
    const message = `function '${functionName}' was deleted`;
    const at = Math.floor(this.#deps.invocation.clock.now());
    this.#deps.queue
      .invalidate(
        functionName,
        { code: 'FUNCTION_NOT_FOUND', message },
        { status: 'Invalid', at, detail: message },
      )
      .catch((error: unknown) =>
        this.#tellFailure(ThawError.from(error, `ending the events of ${functionName}`)),
      );
  }

  /** What kept its events from running may be over. */
  functionChanged(functionName: string): void {
    this.#dispatcher.resume(functionName);
  }

  #slotsPerInstance(functionName: string): number {
    try {
      return this.#deps.resolve(functionName, LATEST).instanceConcurrency;
    } catch {
      // Gone, or disabled: its runs will find out.
      return 1;
    }
  }

  async #enqueue(task: NewTask): Promise<Enqueued> {
    this.#dispatcher.accepting();
    try {
      const enqueued = await this.#deps.queue.enqueue(task);
      if (enqueued.isDuplicate) this.#dispatcher.refused();
      else this.#dispatcher.accepted(task.functionName, task.dueAt);
      return enqueued;
    } catch (error) {
      this.#dispatcher.refused();
      throw error;
    }
  }

  #tellFailure(error: ThawError): void {
    const now = this.#deps.invocation.clock.monotonicMs();
    if (error.code === 'SHUTTING_DOWN' || now - this.#toldStoreFailureMs < TELL_STORE_FAILURE_MS) return;
    this.#toldStoreFailureMs = now;
    this.#deps.log('error', 'asynchronous invocations are held up', error);
  }
}

function requireHash(payload: GivenBytes, expected: string | undefined): void {
  if (expected === undefined) return;
  const actual = 'blob' in payload ? payload.blob : hash('sha256', payload.bytes);
  if (actual === expected) return;
  throw new ThawError('SIGNATURE_INVALID', 'x-acs-content-sha256 is not the hash of the request body', {
    details: { reason: 'body' },
  });
}

function invalidTaskId(): ThawError {
  return new ThawError(
    'INVALID_ARGUMENT',
    'the task id must be 1 to 128 letters, digits, "_" or "-" that start with a letter or "_"',
    { details: { field: 'x-fc-async-task-id' } },
  );
}

function taskNotFound(functionName: string, taskId: string): ThawError {
  return new ThawError('TASK_NOT_FOUND', `function '${functionName}' has no asynchronous task '${taskId}'`, {
    details: { function: functionName, task: taskId },
  });
}

function deadLetterNotFound(functionName: string, taskId: string): ThawError {
  return new ThawError('TASK_NOT_FOUND', `function '${functionName}' has no dead letter '${taskId}'`, {
    details: { function: functionName, task: taskId },
  });
}
