import { z } from 'zod';
import { LIMITS } from '../limits.ts';
import { allowed, flag, requiredText, text, wholeNumber } from './fields.ts';

const ACTIONS_MAX = 100;
const body = { error: allowed('a JSON object') };
const instances = (): z.ZodNumber => wholeNumber(0, LIMITS.instancesPerFunctionMax, 'instances');
/** Kept and given back. */
const policies = z.array(z.unknown(), { error: allowed('a list') }).max(ACTIONS_MAX, {
  error: `must hold at most ${ACTIONS_MAX} policies`,
});

/** What the texts mean is for whoever computes with them to say: `provision-schedule.ts` in the daemon. */
const scheduledAction = z.object(
  {
    name: requiredText(128),
    target: instances(),
    scheduleExpression: requiredText(256),
    startTime: text(64).optional(),
    endTime: text(64).optional(),
    timeZone: text(64).optional(),
  },
  { error: allowed('an object with name, target and scheduleExpression') },
);
export type ScheduledAction = z.infer<typeof scheduledAction>;

const scheduledActions = z.array(scheduledAction, { error: allowed('a list') }).max(ACTIONS_MAX, {
  error: `must hold at most ${ACTIONS_MAX} actions`,
});

export const putProvisionInput = z
  .object(
    {
      defaultTarget: instances().optional(),
      /** The older name of `defaultTarget`. */
      target: instances().optional(),
      scheduledActions: scheduledActions.optional(),
      targetTrackingPolicies: policies.optional(),
      alwaysAllocateCPU: flag().optional(),
      alwaysAllocateGPU: flag().optional(),
    },
    body,
  )
  .refine(({ defaultTarget, target }) => defaultTarget !== undefined || target !== undefined, {
    error: 'is required',
    path: ['defaultTarget'],
  });
export type ProvisionInput = z.infer<typeof putProvisionInput>;

export const putScalingInput = z.object(
  {
    minInstances: instances().default(0),
    scheduledPolicies: scheduledActions.optional(),
    horizontalScalingPolicies: policies.optional(),
    residentPoolId: text(256).optional(),
    requestDispatchPolicy: text(64).optional(),
    enableOnDemandScaling: flag().optional(),
    enableMixMode: flag().optional(),
  },
  body,
);
export type ScalingInput = z.infer<typeof putScalingInput>;
