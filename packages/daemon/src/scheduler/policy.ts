/** Decisions of the scheduler as pure functions; `FunctionPool` and `Scheduler` carry them out. */

export interface PoolCounts {
  readonly waiting: number;
  readonly freeSlots: number;
  readonly startingInstances: number;
  /** Starting and running ones; those that drain are on their way out. */
  readonly lastingInstances: number;
  /** How many are to be there whether or not anybody asks. */
  readonly provisioned: number;
  /** How many more the limits allow. Whatever is not stopped counts there, draining ones included. */
  readonly room: number;
  readonly slotsPerInstance: number;
}

/**
 * How many instances to start now. Waiters already covered by a free or starting slot do not ask for another: without
 * that rule a burst of N requests would start N instances again for each request that comes while they start.
 */
export function instancesToStart(now: PoolCounts): number {
  return Math.max(0, Math.min(instancesWanted(now), now.room));
}

/** The same as if there were no limits. */
export function instancesWanted(now: PoolCounts): number {
  return Math.max(wantedByWaiters(now), wantedByProvision(now));
}

export function wantedByWaiters(now: PoolCounts): number {
  const covered = now.freeSlots + now.startingInstances * now.slotsPerInstance;
  return Math.ceil(Math.max(0, now.waiting - covered) / now.slotsPerInstance);
}

export function wantedByProvision(now: PoolCounts): number {
  return Math.max(0, now.provisioned - now.lastingInstances);
}

/**
 * How many waiters a failed start takes with it: those that no other slot covers. They get the start's own error, since
 * the next start of the same code would most likely fail the same way, and trying on would never end.
 */
export function waitersToFail(now: PoolCounts): number {
  const covered = now.freeSlots + now.startingInstances * now.slotsPerInstance;
  return Math.min(now.slotsPerInstance, Math.max(0, now.waiting - covered));
}

export interface FunctionLimitsNow {
  /** Instances of the function in all its versions, and how many there may be. */
  readonly functionInstances: number;
  readonly functionInstancesMax: number;
  /** Instances of this version in all its revisions, and how many the version allows; undefined: any number. */
  readonly versionInstances: number;
  readonly versionInstancesMax: number | undefined;
  /** Slots of all the function's instances, and the reserved concurrency, which bounds the requests that run at once. */
  readonly functionSlots: number;
  readonly reserved: number | undefined;
  readonly slotsPerInstance: number;
}

/** How many more instances a function's own limits allow. The last one may have more slots than may be used at once. */
export function functionRoom(now: FunctionLimitsNow): number {
  const forReserved =
    now.reserved === undefined
      ? Infinity
      : Math.ceil((now.reserved - now.functionSlots) / now.slotsPerInstance);
  return Math.max(
    0,
    Math.min(
      now.functionInstancesMax - now.functionInstances,
      (now.versionInstancesMax ?? Infinity) - now.versionInstances,
      forReserved,
    ),
  );
}

const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 60_000;

/** How long provisioned instances that fail to start are left alone after so many failures in a row. */
export function provisionRetryMs(failures: number): number {
  return Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(failures - 1, 10));
}
