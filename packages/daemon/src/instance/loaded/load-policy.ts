/** Which versions have their code loaded ahead, and when. Pure: time and counts are arguments. */

/** A version that was neither deployed nor started within this time has nothing loaded for it. */
export const LOADED_IDLE_MS_MAX = 10 * 60_000;
/** Starts within that time that make it likely that there will be another. */
const STARTS_REPEATED = 2;
/** After a deployment, so that whoever calls at once is not in the way of what is made ready for him. */
export const LOAD_AFTER_DEPLOYMENT_MS = 50;
/** After a start: others of the same burst go first. */
export const LOAD_AFTER_START_MS = 500;

export interface LoadDemand {
  readonly nowMs: number;
  /** When it was deployed; undefined: before this platform was started. */
  readonly deployedMs: number | undefined;
  /** When its instances were started, in that order. */
  readonly startsMs: readonly number[];
}

/**
 * Code is loaded for the first call after a deployment, and then for functions whose instances are started again and again:
 * one that is called once in a while and one that is served by the same instance for ever need nothing of the kind.
 */
export function isWorthLoading({ nowMs, deployedMs, startsMs }: LoadDemand): boolean {
  const isRecent = (atMs: number): boolean => nowMs - atMs < LOADED_IDLE_MS_MAX;
  const starts = startsMs.filter(isRecent).length;
  if (starts >= STARTS_REPEATED) return true;
  return starts === 0 && deployedMs !== undefined && isRecent(deployedMs);
}
