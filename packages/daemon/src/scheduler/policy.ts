/** Decisions of the scheduler as pure functions; `FunctionPool` and `Scheduler` carry them out. */

export interface PoolCounts {
  readonly waiting: number;
  readonly freeSlots: number;
  readonly startingInstances: number;
  /** All that are not stopped, draining ones included: they still hold memory. */
  readonly instances: number;
  readonly instancesMax: number;
  readonly slotsPerInstance: number;
}

/**
 * How many instances to start now. Waiters already covered by a free or starting slot do not ask for another: without
 * that rule a burst of N requests would start N instances again for each request that comes while they start.
 */
export function instancesToStart(now: PoolCounts): number {
  const covered = now.freeSlots + now.startingInstances * now.slotsPerInstance;
  const wanted = Math.ceil(Math.max(0, now.waiting - covered) / now.slotsPerInstance);
  return Math.max(0, Math.min(wanted, now.instancesMax - now.instances));
}

/**
 * How many waiters a failed start takes with it: those that no other slot covers. They get the start's own error, since
 * the next start of the same code would most likely fail the same way, and trying on would never end.
 */
export function waitersToFail(now: PoolCounts): number {
  const covered = now.freeSlots + now.startingInstances * now.slotsPerInstance;
  return Math.min(now.slotsPerInstance, Math.max(0, now.waiting - covered));
}
