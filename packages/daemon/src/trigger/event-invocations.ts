import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { newRequestId } from '../base/ids.ts';
import type { RoutingTable } from '../catalog/routing-table.ts';
import type { AsyncSubmitter } from '../invocation/async/async-request.ts';
import type { InvocationDeps } from '../invocation/invocation.ts';
import { invokeEvent } from '../invocation/invoke-event.ts';
import type { TriggerKind } from '../model/trigger-kind.ts';
import type { InvokedEvent } from './trigger-source.ts';

/** What triggers need of invocations. */
export interface EventInvocations {
  /** On disk when it resolves; a task id that was submitted before makes no second invocation. */
  submit(event: EventInvocation): Promise<{ readonly taskId: string }>;
  /** Invokes and waits for the whole answer. Never rejects. */
  invokeEvent(event: EventInvocation, signal?: AbortSignal): Promise<InvokedEvent>;
}

export interface EventInvocation {
  readonly functionName: string;
  readonly qualifier: string;
  readonly trigger: TriggerKind;
  readonly body: Buffer;
  readonly taskId?: string;
}

const NOTHING = Buffer.alloc(0);

export function eventInvocations(
  deps: InvocationDeps,
  routes: RoutingTable,
  submitter: AsyncSubmitter,
): EventInvocations {
  return {
    submit: ({ body, ...event }) => submitter.submit({ ...event, payload: body }),
    invokeEvent: async ({ functionName, qualifier, trigger, body }, signal) => {
      try {
        const runnable = routes.resolve(functionName, qualifier, Math.random());
        return await invokeEvent(deps, { runnable, qualifier, body, trigger, signal });
      } catch (thrown) {
        const error = ThawError.from(thrown, `invoking function '${functionName}'`);
        return { requestId: newRequestId(deps.clock.now()), body: NOTHING, error };
      }
    },
  };
}
