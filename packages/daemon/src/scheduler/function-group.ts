import type { FunctionPool } from './function-pool.ts';
import type { PooledInstance } from './pooled-instance.ts';
import type { Rhythm } from './rhythm.ts';

/** What all versions and revisions of one function share: its limits, and what counts against them. */
export class FunctionGroup<I extends PooledInstance> {
  readonly functionName: string;
  readonly rhythm: Rhythm;
  readonly pools = new Set<FunctionPool<I>>();
  /** Requests that may run at once; undefined: as many as there are slots. */
  reserved: number | undefined;
  /** Requests that run, those on instances that drain included. */
  inFlight = 0;

  constructor(functionName: string, rhythm: Rhythm) {
    this.functionName = functionName;
    this.rhythm = rhythm;
  }

  get mayRunMore(): boolean {
    return this.reserved === undefined || this.inFlight < this.reserved;
  }

  get waiting(): number {
    let sum = 0;
    for (const pool of this.pools) sum += pool.waiting;
    return sum;
  }

  get instances(): number {
    let sum = 0;
    for (const pool of this.pools) sum += pool.instances.size;
    return sum;
  }

  instancesOf(versionId: string): number {
    let sum = 0;
    for (const pool of this.pools) if (pool.runnable.versionId === versionId) sum += pool.instances.size;
    return sum;
  }

  get slots(): number {
    let sum = 0;
    for (const pool of this.pools) sum += pool.instances.size * pool.runnable.instanceConcurrency;
    return sum;
  }

  /** Instances that will be gone in a moment. */
  get leaving(): number {
    let sum = 0;
    for (const pool of this.pools) sum += pool.leaving;
    return sum;
  }
}
