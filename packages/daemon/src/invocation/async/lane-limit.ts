/**
 * How many asynchronous invocations of one function run at once. Nobody waits for them, so they take what the machine
 * has left: the bound grows while processors idle and shrinks while they do not, never below what keeps things going.
 */

export const LANE_LIMIT_MIN = 2;
export const LANE_LIMIT_MAX = 512;
/** Shares of the processors' time. */
const IDLE_ENOUGH = 0.2;
const IDLE_SCARCE = 0.05;

export interface LaneLoad {
  readonly limit: number;
  /** Whether the bound kept back what could have run since it was looked at last. */
  readonly wasFull: boolean;
  /** Of all processors since then, from 0 to 1. */
  readonly idleShare: number;
}

export function nextLaneLimit({ limit, wasFull, idleShare }: LaneLoad): number {
  if (idleShare < IDLE_SCARCE) return Math.max(LANE_LIMIT_MIN, Math.floor(limit * 0.75));
  if (wasFull && idleShare > IDLE_ENOUGH) return Math.min(LANE_LIMIT_MAX, limit * 2);
  return limit;
}
