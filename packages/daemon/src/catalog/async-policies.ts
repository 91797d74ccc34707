import { DEFAULT_ASYNC_POLICY, type AsyncPolicy } from '../invocation/async/retry-policy.ts';
import { LATEST } from '../model/function.ts';
import type { Records } from '../store/records.ts';
import { ASYNC_CONFIGS } from './record-kinds.ts';

/** Empty: nobody is told. */
export interface AsyncDestinations {
  readonly onSuccess: string;
  readonly onFailure: string;
}

interface Known {
  readonly policy: AsyncPolicy;
  readonly destinations: AsyncDestinations;
}

/** Beyond it all are read anew. */
const KNOWN_MAX = 10_000;

/**
 * How often and for how long an asynchronous invocation is tried, and who is told of its end: from the settings of its
 * version or alias, else from those of the function. Read once, since every try asks.
 */
export class AsyncPolicies {
  readonly #records: Records;
  readonly #known = new Map<string, Known>();
  readonly #unwatch: () => void;

  constructor(records: Records) {
    this.#records = records;
    this.#unwatch = records.watch(ASYNC_CONFIGS.prefix, () => this.#known.clear());
  }

  policyOf(functionName: string, qualifier: string): AsyncPolicy {
    return this.#of(functionName, qualifier).policy;
  }

  destinationsOf(functionName: string, qualifier: string): AsyncDestinations {
    return this.#of(functionName, qualifier).destinations;
  }

  close(): void {
    this.#unwatch();
  }

  #of(functionName: string, qualifier: string): Known {
    const key = `${functionName}/${qualifier}`;
    let known = this.#known.get(key);
    if (known === undefined) {
      known = this.#read(functionName, qualifier);
      if (this.#known.size >= KNOWN_MAX) this.#known.clear();
      this.#known.set(key, known);
    }
    return known;
  }

  #read(functionName: string, qualifier: string): Known {
    const stored =
      ASYNC_CONFIGS.get(this.#records, functionName, qualifier) ??
      ASYNC_CONFIGS.get(this.#records, functionName, LATEST);
    const { maxAsyncRetryAttempts, maxAsyncEventAgeInSeconds, destinationConfig } =
      stored?.value.settings ?? {};
    return {
      policy: {
        retriesMax: maxAsyncRetryAttempts ?? DEFAULT_ASYNC_POLICY.retriesMax,
        ageMsMax:
          maxAsyncEventAgeInSeconds === undefined
            ? DEFAULT_ASYNC_POLICY.ageMsMax
            : maxAsyncEventAgeInSeconds * 1000,
      },
      destinations: {
        onSuccess: destinationConfig?.onSuccess?.destination ?? '',
        onFailure: destinationConfig?.onFailure?.destination ?? '',
      },
    };
  }
}
