import type { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { DeadlineWheel } from '../base/deadline-wheel.ts';
import type { PlatformLog } from '../base/platform-log.ts';
import type { InvocationLog, InvocationRecord } from '../store/invocation-log.ts';
import type { Invocation } from './invocation.ts';

const FLUSH_MS = 200;
const BATCH_MAX = 500;

/** Writes records of invocations in batches, off the request path. What a crash may lose is one batch of history. */
export class InvocationRecorder {
  readonly #log: InvocationLog;
  readonly #wheel: DeadlineWheel;
  readonly #report: PlatformLog;
  #batch: InvocationRecord[] = [];
  #isScheduled = false;

  constructor(log: InvocationLog, wheel: DeadlineWheel, report: PlatformLog) {
    this.#log = log;
    this.#wheel = wheel;
    this.#report = report;
  }

  add(invocation: Invocation, error: ThawError | undefined): void {
    this.#batch.push(recordOf(invocation, error));
    if (this.#batch.length >= BATCH_MAX) {
      this.flush();
    } else if (!this.#isScheduled) {
      this.#isScheduled = true;
      this.#wheel.set(FLUSH_MS, () => {
        this.#isScheduled = false;
        this.flush();
      });
    }
  }

  /** Adds what happened after the answer: the hook that the invocation's instance ran before it froze. */
  addPreFreeze(requestId: string, ms: number): void {
    this.flush();
    const record = this.#log.get(requestId);
    if (record !== undefined)
      this.#log.append([{ ...record, timeline: { ...record.timeline, preFreeze: ms } }]);
  }

  /** History is worth less than service: a batch that cannot be written is reported and given up. */
  flush(): void {
    const batch = this.#batch;
    if (batch.length === 0) return;
    this.#batch = [];
    try {
      this.#log.append(batch);
    } catch (error) {
      this.#report('error', `${batch.length} records of invocations could not be written`, error);
    }
  }
}

function recordOf(invocation: Invocation, error: ThawError | undefined): InvocationRecord {
  const { requestId, runnable, qualifier, trigger } = invocation.request;
  const memoryBytes = invocation.memoryBytesPeak;
  return {
    requestId,
    functionName: runnable.functionName,
    versionId: runnable.versionId,
    qualifier,
    instanceId: invocation.instanceId,
    kind: invocation.request.kind ?? 'sync',
    trigger,
    startedAt: invocation.startedAtMs,
    status: error === undefined ? 'succeeded' : 'failed',
    coldStart: invocation.isColdStart,
    timeline: invocation.timeline,
    billedMs: invocation.billedMs,
    memoryMb: runnable.memoryMb,
    ...(error === undefined ? {} : { errorCode: error.code }),
    ...(error?.functionError === undefined ? {} : { errorType: error.functionError.errorType }),
    ...(memoryBytes === undefined ? {} : { memoryPeakMb: Math.round(memoryBytes / 1024 / 1024) }),
    ...(invocation.statusCode === undefined ? {} : { statusCode: invocation.statusCode }),
  };
}
