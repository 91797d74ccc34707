import type { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Trigger } from '../model/trigger.ts';
import type { Delivery, TriggerLog } from './trigger-log.ts';

/** What keeps a trigger from working, and since when (milliseconds since 1970). */
export interface TriggerProblem {
  readonly error: ThawError;
  readonly since: number;
}

/**
 * How a trigger is. `failing`: its source cannot do its work now and goes on trying; `waiting`: the function or
 * qualifier that it is for is not there.
 */
export interface TriggerStatus {
  readonly functionName: string;
  readonly triggerName: string;
  readonly triggerType: string;
  readonly qualifier: string;
  readonly status: 'active' | 'paused' | 'waiting' | 'failing';
  readonly problem?: { readonly code: string; readonly message: string; readonly since: number };
  readonly delivered: number;
  readonly failed: number;
  /** Newest first. */
  readonly deliveries: readonly Delivery[];
  /** Newest first; kept apart, so that later successes do not push them out. */
  readonly failures: readonly Delivery[];
}

export interface RunningTrigger {
  readonly log: TriggerLog;
  readonly attached: unknown;
  readonly problem: TriggerProblem | undefined;
}

/** `running` is undefined for a trigger that nothing is attached to, such as one of HTTP. */
export function triggerStatus(trigger: Trigger, running: RunningTrigger | undefined): TriggerStatus {
  const { functionName, triggerName, triggerType, qualifier } = trigger;
  const problem = running?.problem;
  return {
    functionName,
    triggerName,
    triggerType,
    qualifier,
    status: statusOf(trigger, running),
    ...(problem === undefined
      ? {}
      : { problem: { code: problem.error.code, message: problemText(problem.error), since: problem.since } }),
    delivered: running?.log.delivered ?? 0,
    failed: running?.log.failed ?? 0,
    deliveries: running?.log.deliveries ?? [],
    failures: running?.log.failures ?? [],
  };
}

function statusOf(trigger: Trigger, running: RunningTrigger | undefined): TriggerStatus['status'] {
  if (trigger.triggerType === 'http') return 'active';
  if (trigger.isPaused) return 'paused';
  if (running?.problem === undefined) return 'active';
  return running.attached === undefined ? 'waiting' : 'failing';
}

/** The causes are what an operator needs: that a database refused the password, that a name is not known. */
function problemText(error: Error): string {
  return error.cause instanceof Error ? `${error.message}: ${problemText(error.cause)}` : error.message;
}
