import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Deadline, DeadlineWheel } from '../../base/deadline-wheel.ts';
import type { DueTask, FinalStatus, TaskError, TaskEvent } from '../../model/async-task.ts';
import type { RunnableVersion } from '../../model/runnable.ts';
import type { TriggerKind } from '../../model/trigger-kind.ts';
import type { GivenBytes, Lease, LeasedTask, Queue, Settlement } from '../../store/queue.ts';
import type { ResponseHead } from '../../transport/transport.ts';
import { Invocation, type InvocationDeps, type InvocationResponder, type Payload } from '../invocation.ts';
import type { HttpHead } from './async-request.ts';
import type { ByteStore, ResultIntake } from './byte-store.ts';
import type { RunEvents, TaskRun } from './dispatcher.ts';
import { originOfReplay } from './replay-task-id.ts';
import { nextStep, type AsyncPolicy } from './retry-policy.ts';
import { taskErrorFrom, type OutcomeHandler } from './task-outcome.ts';

/** A run that ends sooner is written once, with its end; of a longer one it is told that it runs. */
const TELL_RUNNING_MS = 50;
/** An outcome that cannot be written is kept in memory and tried again so often. */
const WRITE_RETRY_MS = 2_000;
/** From this status on an HTTP answer is a failure of the function, and tried again. */
const FAILED_STATUS_MIN = 500;
const FAILURE_TEXT_MAX = 1024;
/** Kinds of which only the platform makes ids of tasks, those of replays among them. */
const REPLAYED: ReadonlySet<TriggerKind> = new Set(['replay', 'eventbridge']);

export interface AsyncRunDeps {
  readonly invocation: InvocationDeps;
  readonly wheel: DeadlineWheel;
  readonly queue: Queue;
  readonly bytes: ByteStore;
  readonly outcomes: () => OutcomeHandler;
  /** Throws what `submit` documents: the version may be gone since. */
  readonly resolve: (functionName: string, qualifier: string) => RunnableVersion;
  readonly policyOf: (functionName: string, qualifier: string) => AsyncPolicy;
  readonly onReleased: (functionName: string, dueAt: number) => void;
  readonly onSettled: (isToHandOn: boolean) => void;
  readonly onStoreFailed: (error: ThawError) => void;
  /** It has failed for good, which is on disk. */
  readonly onFailedForGood: (task: DueTask, error: TaskError) => void;
}

/** One try of one task, from its lease to the commit that says what came of it. */
export class AsyncRun implements TaskRun, InvocationResponder {
  readonly #deps: AsyncRunDeps;
  readonly #events: RunEvents;
  readonly #task: DueTask;
  readonly #lease: Lease;
  readonly #policy: AsyncPolicy;
  #invocation: Invocation | undefined;
  #head: ResponseHead | undefined;
  #result: ResultIntake | undefined;
  #startedAt: number | undefined;
  #startedEvent: TaskEvent | undefined;
  #telling: Deadline | undefined;
  #versionId = '';
  #isStopped = false;
  #hasEnded = false;

  constructor(deps: AsyncRunDeps, { task, lease, payload }: LeasedTask, events: RunEvents) {
    this.#deps = deps;
    this.#events = events;
    this.#task = task;
    this.#lease = lease;
    this.#policy = deps.policyOf(task.functionName, task.qualifier);
    const ageMs = this.#nowMs - task.enqueuedAt;
    if (ageMs > this.#policy.ageMsMax) {
      this.#settle('Expired', undefined, `it waited for ${Math.round(ageMs / 1000)} s`);
      return;
    }
    if (payload !== undefined) {
      this.#invoke(bufferOver(payload));
      return;
    }
    deps.bytes.payload(task).then(
      (body) => {
        if (!this.#hasEnded) this.#invoke(body);
      },
      (error: unknown) => this.#fail(ThawError.from(error, 'reading the payload of a task')),
    );
  }

  stop(): void {
    this.#isStopped = true;
    const { functionName, taskId } = this.#task;
    const error = new ThawError('TASK_STOPPED', `task '${taskId}' of function '${functionName}' was stopped`);
    if (this.#invocation === undefined) this.#fail(error);
    else this.#invocation.stop(error);
  }

  onStarted({ request, instanceId }: Invocation): void {
    this.#startedAt = this.#nowMs;
    this.#versionId = request.runnable.versionId;
    this.#startedEvent = { status: 'Running', at: this.#startedAt, detail: instanceId };
    this.#telling = this.#deps.wheel.set(TELL_RUNNING_MS, () => this.#tellRunning(instanceId));
    this.#events.onStarted();
  }

  onHead(head: ResponseHead, invocation: Invocation): void {
    this.#head = head;
    this.#result = this.#deps.bytes.newResult(() => invocation.resume());
  }

  onData(chunk: Buffer): boolean {
    return this.#result?.write(chunk) ?? true;
  }

  onEnd(): void {
    const { status = 200 } = this.#head ?? {};
    if (status < FAILED_STATUS_MIN) {
      this.#succeed();
      return;
    }
    const text = this.#result?.beginning.subarray(0, FAILURE_TEXT_MAX).toString() ?? '';
    const errorMessage = text === '' ? `the function answered with HTTP status ${status}` : text;
    const functionError = { errorType: `Http${status}`, errorMessage };
    this.#fail(new ThawError('HANDLER_THREW', errorMessage, { functionError }));
  }

  onFailure(error: ThawError): void {
    this.#fail(error);
  }

  /** Of a request, and of an event whose answer may be an event in HTTP's binary mode. */
  get #isHeadKept(): boolean {
    const { http, trigger } = this.#task;
    return http !== undefined || (trigger === 'eventbridge' && (this.#head?.rawHeaders.length ?? 0) > 0);
  }

  get #nowMs(): number {
    return Math.floor(this.#deps.invocation.clock.now());
  }

  #invoke(body: Buffer): void {
    const { functionName, taskId, qualifier, requestId, trigger, tries } = this.#task;
    const replayOf = REPLAYED.has(trigger) ? originOfReplay(taskId) : undefined;
    try {
      const runnable = this.#deps.resolve(functionName, qualifier);
      const invocation = new Invocation(
        this.#deps.invocation,
        {
          requestId,
          runnable,
          qualifier,
          trigger,
          kind: 'async',
          retryCount: tries,
          payload: payloadOf(this.#task, body),
          acceptedMs: this.#deps.invocation.clock.monotonicMs(),
          wantsLogTail: false,
          taskId,
          ...(replayOf === undefined ? {} : { replayOf }),
        },
        this,
      );
      this.#invocation = invocation;
      invocation.start();
    } catch (error) {
      this.#fail(ThawError.from(error, `running task '${this.#task.taskId}'`));
    }
  }

  #tellRunning(instanceId: string): void {
    this.#telling = undefined;
    const event = this.#startedEvent;
    if (event === undefined || this.#hasEnded) return;
    this.#startedEvent = undefined;
    this.#deps.queue
      .progress(this.#lease, {
        status: 'Running',
        startedAt: event.at,
        instanceId,
        versionId: this.#versionId,
        events: [event],
      })
      .catch((error: unknown) => this.#deps.onStoreFailed(ThawError.from(error, 'telling that a task runs')));
  }

  #succeed(): void {
    const stored = this.#result?.end() ?? Promise.resolve({ bytes: Buffer.alloc(0) });
    const resultHead = this.#isHeadKept && this.#head !== undefined ? JSON.stringify(this.#head) : undefined;
    stored.then(
      (result) =>
        this.#settle('Succeeded', undefined, '', {
          result,
          ...(resultHead === undefined ? {} : { resultHead }),
        }),
      (error: unknown) => this.#fail(resultError(this.#task.functionName, error)),
    );
  }

  #fail(error: ThawError): void {
    if (this.#hasEnded) return;
    this.#result?.discard();
    if (this.#isStopped) {
      this.#settle('Stopped', undefined, '');
      return;
    }
    const { tries, deferrals, enqueuedAt } = this.#task;
    const now = this.#nowMs;
    const step = nextStep(error, {
      tries,
      deferrals,
      ageMs: now - enqueuedAt,
      policy: this.#policy,
      random: Math.random(),
    });
    const hasFailed = error.fault === 'function';
    if (step.kind === 'settle') {
      this.#settle(step.status, error, error.message, {}, tries + Number(hasFailed));
      return;
    }
    const isRetry = step.kind === 'retry';
    const status = isRetry ? 'Retrying' : 'Enqueued';
    const dueAt = now + step.delayMs;
    this.#end(isRetry ? 'ran' : 'deferred');
    this.#write(
      () =>
        this.#deps.queue.release(this.#lease, {
          status,
          dueAt,
          tries: tries + Number(isRetry),
          deferrals: deferrals + Number(!isRetry),
          error: taskErrorFrom(error),
          events: this.#eventsWith({ status, at: now, detail: shorten(error.message) }),
        }),
      () => this.#deps.onReleased(this.#task.functionName, dueAt),
    );
  }

  #settle(
    status: FinalStatus,
    error: ThawError | undefined,
    detail: string,
    answer: { readonly result?: GivenBytes; readonly resultHead?: string } = {},
    tries = this.#task.tries,
  ): void {
    const endedAt = this.#nowMs;
    const isToHandOn = this.#deps.outcomes().isAwaited(this.#task, status);
    const settlement: Settlement = {
      status,
      tries,
      endedAt,
      instanceId: this.#invocation?.instanceId ?? '',
      versionId: this.#versionId,
      events: this.#eventsWith({ status, at: endedAt, detail: shorten(detail) }),
      isToHandOn,
      ...(this.#startedAt === undefined ? {} : { startedAt: this.#startedAt }),
      ...(error === undefined ? {} : { error: taskErrorFrom(error) }),
      ...answer,
    };
    this.#end('ran');
    this.#write(
      () => this.#deps.queue.settle(this.#lease, settlement),
      () => {
        this.#deps.onSettled(isToHandOn);
        if (status === 'Succeeded' || status === 'Stopped') return;
        this.#deps.onFailedForGood(this.#task, settlement.error ?? { code: status, message: detail });
      },
    );
  }

  #eventsWith(event: TaskEvent): readonly TaskEvent[] {
    return this.#startedEvent === undefined ? [event] : [this.#startedEvent, event];
  }

  #end(end: 'ran' | 'deferred'): void {
    this.#hasEnded = true;
    if (this.#telling !== undefined) this.#deps.wheel.clear(this.#telling);
    this.#events.onEnded(end);
  }

  /** What came of it is held until it is on disk; where the lease is lost, somebody else will know better. */
  #write(write: () => Promise<boolean>, onWritten: () => void): void {
    write().then(
      () => {
        onWritten();
        this.#events.onWritten();
      },
      (thrown: unknown) => {
        const error = ThawError.from(thrown, `writing how task '${this.#task.taskId}' ended`);
        this.#deps.onStoreFailed(error);
        // Nothing more can be written by this process; the next one runs the task again.
        if (error.code === 'SHUTTING_DOWN') this.#events.onWritten();
        else this.#deps.wheel.set(WRITE_RETRY_MS, () => this.#write(write, onWritten));
      },
    );
  }
}

function payloadOf({ http }: DueTask, body: Buffer): Payload {
  if (http === undefined) return { kind: 'event', body };
  const head: HttpHead = JSON.parse(http);
  return { kind: 'http', ...head, body };
}

function bufferOver(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function resultError(functionName: string, thrown: unknown): ThawError {
  const error = ThawError.from(thrown, `keeping the result of function '${functionName}'`);
  if (error.code !== 'PAYLOAD_TOO_LARGE') return error;
  return new ThawError('RESPONSE_TOO_LARGE', `function '${functionName}' returned more than can be kept`);
}

function shorten(text: string): string {
  return text.length > FAILURE_TEXT_MAX ? `${text.slice(0, FAILURE_TEXT_MAX)}…` : text;
}
