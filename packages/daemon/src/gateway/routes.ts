import type { ErrorCode } from '@thaw/protocol/error-code.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { RoutingTable } from '../catalog/routing-table.ts';
import type { RunnableVersion } from '../model/runnable.ts';
import type { HttpTrigger } from '../model/trigger.ts';

/** What the data plane asks of the catalog, answered from memory and at once; what is not there is an error with words. */
export class RoutesOfCatalog {
  readonly #table: RoutingTable;

  constructor(table: RoutingTable) {
    this.#table = table;
  }

  /**
   * The version that serves a call. `random` in [0, 1) chooses among an alias's weights. Throws FUNCTION_NOT_FOUND,
   * VERSION_NOT_FOUND, ALIAS_NOT_FOUND, FUNCTION_DISABLED, or what keeps the code from running.
   */
  resolve(functionName: string, qualifier: string | undefined, random: number): RunnableVersion {
    const resolution = this.#table.resolve(functionName, qualifier, random);
    if (typeof resolution !== 'string') return resolution;
    const of = `of function '${functionName}'`;
    const what: Partial<Record<ErrorCode, string>> = {
      FUNCTION_NOT_FOUND: `function '${functionName}' does not exist`,
      FUNCTION_DISABLED: `invocations ${of} are disabled`,
      VERSION_NOT_FOUND: `version '${qualifier ?? 'LATEST'}' ${of} does not exist`,
      ALIAS_NOT_FOUND: `alias '${qualifier ?? ''}' ${of} does not exist`,
    };
    const message = what[resolution] ?? `the code ${of} cannot be run`;
    throw new ThawError(resolution, message, { details: { function: functionName } });
  }

  /** Throws FUNCTION_NOT_FOUND. */
  requireFunction(functionName: string): void {
    if (this.#table.has(functionName)) return;
    throw new ThawError('FUNCTION_NOT_FOUND', `function '${functionName}' does not exist`);
  }

  httpTrigger(functionName: string, triggerName: string): HttpTrigger | undefined {
    return this.#table.httpTrigger(functionName, triggerName);
  }

  /** The trigger behind `<function>.localhost`. Host names know no case; function names do. */
  httpTriggerOfHost(label: string): HttpTrigger | undefined {
    const exact = this.#table.httpTriggerOf(label);
    if (exact !== undefined) return exact;
    const lower = label.toLowerCase();
    const name = this.#table.functionNames().find((candidate) => candidate.toLowerCase() === lower);
    return name === undefined ? undefined : this.#table.httpTriggerOf(name);
  }
}
