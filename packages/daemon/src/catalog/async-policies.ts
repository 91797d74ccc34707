import { DEFAULT_ASYNC_POLICY, type AsyncPolicy } from '../invocation/async/retry-policy.ts';
import { LATEST } from '../model/function.ts';
import type { Records } from '../store/records.ts';
import { ASYNC_CONFIGS } from './record-kinds.ts';

/** Beyond it all are read anew. */
const KNOWN_MAX = 10_000;

/**
 * How often and for how long an asynchronous invocation is tried, from the settings of its version or alias, else from
 * those of the function. Read once, since every try asks.
 */
export class AsyncPolicies {
  readonly #records: Records;
  readonly #known = new Map<string, AsyncPolicy>();
  readonly #unwatch: () => void;

  constructor(records: Records) {
    this.#records = records;
    this.#unwatch = records.watch(ASYNC_CONFIGS.prefix, () => this.#known.clear());
  }

  policyOf(functionName: string, qualifier: string): AsyncPolicy {
    const key = `${functionName}/${qualifier}`;
    let policy = this.#known.get(key);
    if (policy === undefined) {
      policy = this.#read(functionName, qualifier);
      if (this.#known.size >= KNOWN_MAX) this.#known.clear();
      this.#known.set(key, policy);
    }
    return policy;
  }

  close(): void {
    this.#unwatch();
  }

  #read(functionName: string, qualifier: string): AsyncPolicy {
    const stored =
      ASYNC_CONFIGS.get(this.#records, functionName, qualifier) ??
      ASYNC_CONFIGS.get(this.#records, functionName, LATEST);
    const { maxAsyncRetryAttempts, maxAsyncEventAgeInSeconds } = stored?.value.settings ?? {};
    return {
      retriesMax: maxAsyncRetryAttempts ?? DEFAULT_ASYNC_POLICY.retriesMax,
      ageMsMax:
        maxAsyncEventAgeInSeconds === undefined
          ? DEFAULT_ASYNC_POLICY.ageMsMax
          : maxAsyncEventAgeInSeconds * 1000,
    };
  }
}
