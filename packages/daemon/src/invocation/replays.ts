import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../base/clock.ts';
import type { TriggerKind } from '../model/trigger-kind.ts';
import type { InvocationLog, InvocationRecord } from '../store/invocation-log.ts';
import { INPUT_LIMITS, type KeptCalls } from '../store/kept-calls.ts';
import type { AsyncInvocations } from './async/async-invocations.ts';
import type { HttpHead } from './async/async-request.ts';
import { INPUT_BYTES_MAX } from './input-recorder.ts';
import type { Payload } from './invocation.ts';

export interface ReplaysDeps {
  readonly calls: Pick<KeptCalls, 'input'>;
  readonly history: Pick<InvocationLog, 'get'>;
  readonly tasks: Pick<AsyncInvocations, 'require' | 'wholeBytes'>;
  readonly clock: Clock;
}

/** What an invocation was given. */
export interface StoredInput {
  readonly functionName: string;
  readonly qualifier: string;
  readonly http: HttpHead | undefined;
  readonly body: Buffer;
  /** What the replay runs as: events of a bus come to functions in a form of their own, which hangs on the kind. */
  readonly trigger: Extract<TriggerKind, 'replay' | 'eventbridge'>;
}

/** Finds the inputs of invocations that are to be run again, wherever they are kept. */
export class Replays {
  readonly #deps: ReplaysDeps;

  constructor(deps: ReplaysDeps) {
    this.#deps = deps;
  }

  /** Throws INVOCATION_NOT_FOUND, INPUT_NOT_RECORDED, STORE_FAILED. */
  async require(requestId: string): Promise<StoredInput> {
    const { calls, history } = this.#deps;
    const kept = calls.input(requestId);
    if (kept === undefined) {
      const record = history.get(requestId);
      if (record === undefined) {
        throw new ThawError('INVOCATION_NOT_FOUND', `there is no record of an invocation '${requestId}'`);
      }
      if (record.kind === 'async') return this.#ofTask(record.functionName, requestId, requestId);
      throw this.#notRecorded(record);
    }
    if (kept.taskId !== undefined) return this.#ofTask(kept.functionName, kept.taskId, requestId);
    if (kept.bytes === undefined) {
      const limit = `${INPUT_BYTES_MAX / 1024 / 1024} MB`;
      throw notRecorded(requestId, `it was larger than the ${limit} that are kept`);
    }
    const { functionName, qualifier, http, bytes, trigger } = kept;
    return {
      functionName,
      qualifier,
      http: headOf(http),
      body: Buffer.from(bytes),
      trigger: replayKindOf(trigger),
    };
  }

  /** The queue keeps what it was given, until it forgets the task. */
  async #ofTask(functionName: string, taskId: string, requestId: string): Promise<StoredInput> {
    const { tasks } = this.#deps;
    const task = await tasks.require(functionName, taskId).catch((error: unknown) => {
      if (!(error instanceof ThawError) || error.code !== 'TASK_NOT_FOUND') throw error;
      throw notRecorded(requestId, `its task is no longer kept, or was named by its caller`);
    });
    const body = await tasks.wholeBytes(task, 'payload', LIMITS.asyncPayloadBytesMax);
    if (body === undefined) throw notRecorded(requestId, 'its payload is no longer kept');
    const { qualifier, http, trigger } = task;
    return { functionName, qualifier, http: headOf(http), body, trigger: replayKindOf(trigger) };
  }

  #notRecorded({ requestId, functionName, startedAt }: InvocationRecord): ThawError {
    if (startedAt < this.#deps.clock.now() - INPUT_LIMITS.ageMsMax) {
      const days = INPUT_LIMITS.ageMsMax / (24 * 60 * 60 * 1000);
      return notRecorded(requestId, `inputs are kept for ${days} days`);
    }
    return notRecorded(
      requestId,
      `function '${functionName}' did not record inputs then (THAW_RECORD_INPUTS=on in its environment), or has had many since`,
    );
  }
}

export function payloadOf({ http, body }: StoredInput): Payload {
  return http === undefined ? { kind: 'event', body } : { kind: 'http', ...http, upgrade: undefined, body };
}

function replayKindOf(trigger: string): StoredInput['trigger'] {
  return trigger === 'eventbridge' ? trigger : 'replay';
}

function headOf(http: string | undefined): HttpHead | undefined {
  if (http === undefined) return undefined;
  const head: HttpHead = JSON.parse(http);
  return head;
}

function notRecorded(requestId: string, reason: string): ThawError {
  return new ThawError('INPUT_NOT_RECORDED', `the input of invocation '${requestId}' is not kept: ${reason}`);
}
