import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { newRequestId } from '../base/ids.ts';
import type { RunnableVersion } from '../model/runnable.ts';
import type { TriggerKind } from '../model/trigger-kind.ts';
import { Invocation, type InvocationDeps, type InvocationResponder } from './invocation.ts';

export interface EventInvocation {
  readonly runnable: RunnableVersion;
  /** As the caller named it; absent: the version. */
  readonly qualifier?: string | undefined;
  readonly body: Buffer;
  readonly trigger: TriggerKind;
  /** Aborting it is the caller's going away: an invocation that waits is withdrawn, a handler that runs is told. */
  readonly signal?: AbortSignal | undefined;
}

/** `error` is set for every outcome but success, the function's own failure included; `body` is then empty. */
export interface EventOutcome {
  readonly requestId: string;
  readonly body: Buffer;
  readonly error?: ThawError;
}

/**
 * Invokes a function with an event and waits for its whole answer: for callers inside the platform that need it before
 * they go on. Never rejects. An answer of more than `syncPayloadBytesMax` is RESPONSE_TOO_LARGE.
 */
export function invokeEvent(deps: InvocationDeps, event: EventInvocation): Promise<EventOutcome> {
  const { runnable, qualifier = runnable.versionId, body, trigger, signal } = event;
  const requestId = newRequestId(deps.clock.now());
  if (signal?.aborted === true) {
    const error = new ThawError('CLIENT_CLOSED', 'the caller was gone before the invocation began');
    return Promise.resolve({ requestId, body: EMPTY, error });
  }
  return new Promise((resolve) => {
    const finish = (outcome: EventOutcome): void => {
      signal?.removeEventListener('abort', onAbort);
      resolve(outcome);
    };
    const collector = new AnswerCollector(runnable.functionName, (answer, error) =>
      finish({ requestId, body: answer, ...(error === undefined ? {} : { error }) }),
    );
    const invocation = new Invocation(
      deps,
      {
        requestId,
        runnable,
        qualifier,
        trigger,
        payload: { kind: 'event', body },
        acceptedMs: deps.clock.monotonicMs(),
        wantsLogTail: false,
      },
      collector,
    );
    const onAbort = (): void => {
      invocation.cancel();
      const error = new ThawError('CLIENT_CLOSED', 'the caller went away before the answer was complete');
      finish({ requestId, body: EMPTY, error });
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    invocation.start();
  });
}

const EMPTY = Buffer.alloc(0);

class AnswerCollector implements InvocationResponder {
  readonly #functionName: string;
  readonly #onDone: (body: Buffer, error: ThawError | undefined) => void;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(functionName: string, onDone: (body: Buffer, error: ThawError | undefined) => void) {
    this.#functionName = functionName;
    this.#onDone = onDone;
  }

  onHead(): void {}

  onData(chunk: Buffer): boolean {
    this.#bytes += chunk.length;
    if (this.#bytes <= LIMITS.syncPayloadBytesMax) this.#chunks.push(chunk);
    return true;
  }

  onEnd(): void {
    if (this.#bytes <= LIMITS.syncPayloadBytesMax) {
      this.#onDone(Buffer.concat(this.#chunks, this.#bytes), undefined);
      return;
    }
    const told = `function '${this.#functionName}' returned more than ${LIMITS.syncPayloadBytesMax} bytes`;
    this.#onDone(EMPTY, new ThawError('RESPONSE_TOO_LARGE', told));
  }

  onFailure(error: ThawError): void {
    this.#onDone(EMPTY, error);
  }
}
