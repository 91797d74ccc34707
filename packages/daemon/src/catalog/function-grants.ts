import { functionGrant, type FunctionGrant } from '../model/function-grant.ts';
import { bucketsOf } from '../model/oss-trigger.ts';
import type { RunnableVersion } from '../model/runnable.ts';
import type { Records } from '../store/records.ts';
import { TRIGGERS } from './record-kinds.ts';

/** What each function is granted now, in memory: asked for every request that a function makes to the platform. */
export class FunctionGrants {
  readonly #records: Records;
  readonly #onGranted: (functionName: string) => void;
  readonly #bucketsByFunction = new Map<string, readonly string[]>();
  #unwatch: (() => void) | undefined;

  /** `onGranted` hears of functions whose triggers came to name a bucket. */
  constructor(records: Records, onGranted: (functionName: string) => void) {
    this.#records = records;
    this.#onGranted = onGranted;
  }

  open(): void {
    this.#unwatch = this.#records.watch(TRIGGERS.prefix, (change) => {
      const key = change.kind === 'put' ? change.record.key : change.key;
      this.#read(key.slice(TRIGGERS.prefix.length).split('/')[0] ?? '');
    });
    const names = TRIGGERS.list(this.#records).map(({ value }) => value.functionName);
    for (const functionName of new Set(names)) this.#read(functionName);
  }

  grantOf({ functionName, environment }: RunnableVersion): FunctionGrant {
    return functionGrant(environment, this.#bucketsByFunction.get(functionName) ?? []);
  }

  close(): void {
    this.#unwatch?.();
  }

  #read(functionName: string): void {
    const triggers = TRIGGERS.list(this.#records, `${functionName}/`).map(({ value }) => value);
    const buckets = [...bucketsOf(triggers)];
    const had = this.#bucketsByFunction.has(functionName);
    if (buckets.length === 0) this.#bucketsByFunction.delete(functionName);
    else this.#bucketsByFunction.set(functionName, buckets);
    if (buckets.length > 0 && !had) this.#onGranted(functionName);
  }
}
