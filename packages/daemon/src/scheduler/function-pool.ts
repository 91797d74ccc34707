import { Fifo } from '../base/fifo.ts';
import type { Instance } from '../instance/instance.ts';
import type { RunnableVersion } from '../model/runnable.ts';
import type { PoolCounts } from './policy.ts';
import type { Waiter } from './waiter.ts';

/** All instances of one revision of one function, and those who wait for one. Bookkeeping only: `Scheduler` decides. */
export class FunctionPool {
  readonly runnable: RunnableVersion;
  readonly waiters: Fifo<Waiter>;
  readonly instances = new Set<Instance>();
  /** Instances with a free slot; the one used last is at the end and is taken first, so that the rest can grow idle. */
  readonly #free: Instance[] = [];
  #starting = 0;
  /** A newer revision has taken its place: nothing idles here any more. */
  isRetired = false;

  constructor(runnable: RunnableVersion, waitersMax: number) {
    this.runnable = runnable;
    this.waiters = new Fifo(waitersMax);
  }

  counts(instancesMax: number): PoolCounts {
    return {
      waiting: this.waiters.size,
      freeSlots: this.#freeSlots(),
      startingInstances: this.#starting,
      instances: this.instances.size,
      instancesMax,
      slotsPerInstance: this.runnable.instanceConcurrency,
    };
  }

  get isEmpty(): boolean {
    return this.instances.size === 0 && this.waiters.size === 0;
  }

  get hasStarting(): boolean {
    return this.#starting > 0;
  }

  addStarting(instance: Instance): void {
    this.instances.add(instance);
    this.#starting += 1;
  }

  endStarting(): void {
    this.#starting -= 1;
  }

  /** The most recently used instance with a free slot. It stays listed while it has another one. */
  takeFree(): Instance | undefined {
    return this.#free.at(-1);
  }

  /** Lists or unlists the instance as its state says. */
  relist(instance: Instance): void {
    const index = this.#free.lastIndexOf(instance);
    if (instance.hasFreeSlot()) {
      if (index === -1) this.#free.push(instance);
    } else if (index !== -1) {
      this.#free.splice(index, 1);
    }
  }

  /** Longest idle first. */
  idle(): Instance[] {
    return this.#free.filter((instance) => instance.state.name === 'idle');
  }

  #freeSlots(): number {
    const slots = this.runnable.instanceConcurrency;
    if (slots === 1) return this.#free.length;
    return this.#free.reduce((sum, instance) => sum + slots - instance.inFlight, 0);
  }
}
