import type { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../base/clock.ts';
import type { DeadlineWheel } from '../base/deadline-wheel.ts';
import type { PlatformLog } from '../base/platform-log.ts';
import type {
  InvocationLog,
  InvocationPage,
  InvocationQuery,
  InvocationRecord,
} from '../store/invocation-log.ts';
import type { Invocation } from './invocation.ts';
import { RecordBudget } from './record-budget.ts';

const FLUSH_MS = 200;
const BATCH_MAX = 500;

export interface InvocationRecorderDeps {
  readonly log: InvocationLog;
  readonly clock: Clock;
  readonly wheel: DeadlineWheel;
  readonly report: PlatformLog;
  /** An invocation found no room in the history. */
  readonly onSkipped: () => void;
}

/**
 * Writes records of invocations in batches, off the request path, and reads them: what has ended is found, written or
 * not. What a crash may lose is one batch of history. Beyond what its budget takes, warm successes are counted and not
 * kept; cold starts, failures and asynchronous invocations always are.
 */
export class InvocationRecorder {
  readonly #deps: InvocationRecorderDeps;
  readonly #budget: RecordBudget;
  #batch: InvocationRecord[] = [];
  #isScheduled = false;

  constructor(deps: InvocationRecorderDeps) {
    this.#deps = deps;
    this.#budget = new RecordBudget(deps.clock.monotonicMs());
  }

  add(invocation: Invocation, error: ThawError | undefined): void {
    const isOrdinary =
      error === undefined && !invocation.isColdStart && (invocation.request.kind ?? 'sync') === 'sync';
    if (!this.#budget.take(this.#deps.clock.monotonicMs()) && isOrdinary) {
      this.#deps.onSkipped();
      return;
    }
    this.#batch.push(recordOf(invocation, error));
    if (this.#batch.length >= BATCH_MAX) {
      this.flush();
    } else if (!this.#isScheduled) {
      this.#isScheduled = true;
      this.#deps.wheel.set(FLUSH_MS, () => {
        this.#isScheduled = false;
        this.flush();
      });
    }
  }

  /** Adds what happened after the answer: the hook that the invocation's instance ran before it froze. */
  addPreFreeze(requestId: string, ms: number): void {
    this.flush();
    this.#deps.log.amend(requestId, { preFreeze: ms });
  }

  get(requestId: string): InvocationRecord | undefined {
    this.flush();
    return this.#deps.log.get(requestId);
  }

  list(query: InvocationQuery): InvocationPage {
    this.flush();
    return this.#deps.log.list(query);
  }

  /** History is worth less than service: a batch that cannot be written is reported and given up. */
  flush(): void {
    const batch = this.#batch;
    if (batch.length === 0) return;
    this.#batch = [];
    try {
      this.#deps.log.append(batch);
    } catch (error) {
      this.#deps.report('error', `${batch.length} records of invocations could not be written`, error);
    }
  }
}

function recordOf(invocation: Invocation, error: ThawError | undefined): InvocationRecord {
  const { requestId, runnable, qualifier, trigger, replayOf } = invocation.request;
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
    ...(replayOf === undefined ? {} : { replayOf }),
  };
}
