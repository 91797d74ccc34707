export interface SchedulerLimits {
  /** Instances of all functions together. */
  readonly instancesMax: number;
  readonly instancesPerFunctionMax: number;
  /** Of a function that is a web server; absent: as of any other. One, where every server has the same host's ports. */
  readonly instancesPerServerMax?: number;
  /** Sum of the memory limits of all instances, in MB. */
  readonly memoryMbMax: number;
  readonly waitersPerFunctionMax: number;
  /** Longest wait for a slot while none is starting. */
  readonly waitMsMax: number;
  /** An instance that was not used for so long is stopped, where its function says nothing else. */
  readonly idleMsMax: number;
}

export const DEFAULT_INSTANCES_MAX = 1000;
export const DEFAULT_WAITERS_PER_FUNCTION_MAX = 1000;
export const DEFAULT_WAIT_MS_MAX = 60_000;
export const DEFAULT_IDLE_MS_MAX = 5 * 60_000;
