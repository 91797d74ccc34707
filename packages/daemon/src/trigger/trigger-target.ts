import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../base/clock.ts';
import type { EventTrigger } from '../model/trigger.ts';
import type { EventInvocation, EventInvocations } from './event-invocations.ts';
import type { TriggerLog } from './trigger-log.ts';
import type { TriggerState, TriggerTarget } from './trigger-source.ts';

export interface TargetOptions {
  readonly trigger: EventTrigger;
  readonly invocations: EventInvocations;
  readonly clock: Clock;
  readonly state: TriggerState;
  readonly log: TriggerLog;
  readonly onProblem: (error: ThawError | undefined) => void;
}

/** The function behind a trigger. What is delivered goes into the trigger's log. */
export function createTarget(options: TargetOptions): TriggerTarget {
  const { trigger, invocations, clock, log } = options;
  const { functionName, qualifier, triggerType } = trigger;
  const eventOf = (body: Buffer): EventInvocation => ({
    functionName,
    qualifier,
    trigger: triggerType,
    body,
  });
  return {
    state: options.state,
    submit: async (event, { taskId } = {}) => {
      const delivery = { at: clock.now(), eventBytes: event.length };
      const beganMs = clock.monotonicMs();
      try {
        const accepted = await invocations.submit({
          ...eventOf(event),
          ...(taskId === undefined ? {} : { taskId }),
        });
        const ms = clock.monotonicMs() - beganMs;
        log.add({ ...delivery, ms, outcome: 'accepted', taskId: accepted.taskId }, undefined);
        return accepted;
      } catch (thrown) {
        const error = ThawError.from(thrown, `submitting an event of trigger '${trigger.triggerName}'`);
        log.add({ ...delivery, ms: clock.monotonicMs() - beganMs, outcome: 'failed' }, error);
        throw error;
      }
    },
    invoke: async (event, signal) => {
      const delivery = { at: clock.now(), eventBytes: event.length };
      const beganMs = clock.monotonicMs();
      const invoked = await invocations.invokeEvent(eventOf(event), signal);
      const { requestId, error } = invoked;
      const ms = clock.monotonicMs() - beganMs;
      log.add({ ...delivery, ms, requestId, outcome: error === undefined ? 'succeeded' : 'failed' }, error);
      return invoked;
    },
    report: options.onProblem,
  };
}
