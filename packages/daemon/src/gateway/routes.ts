import type { RunnableVersion } from '../model/runnable.ts';
import type { HttpTrigger } from '../model/trigger.ts';

/** What the data plane asks of the catalog: answers from memory, at once. */
export interface Routes {
  /**
   * The version that serves a call. `random` in [0, 1) chooses among an alias's weights. Throws FUNCTION_NOT_FOUND,
   * VERSION_NOT_FOUND, ALIAS_NOT_FOUND or FUNCTION_DISABLED.
   */
  resolve(functionName: string, qualifier: string | undefined, random: number): RunnableVersion;
  httpTrigger(functionName: string, triggerName: string): HttpTrigger | undefined;
  /** The trigger behind `<function>.localhost`: the one on LATEST, else the only one. Host names know no case. */
  httpTriggerOfHost(functionLabel: string): HttpTrigger | undefined;
}
