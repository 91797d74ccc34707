import type { InstanceState } from '../instance/instance-state.ts';
import type { FunctionPool } from './function-pool.ts';
import { instancesToEvict } from './keep-alive.ts';
import { functionRoom } from './policy.ts';
import { isLeaving, restingSince, type PooledInstance } from './pooled-instance.ts';
import type { SchedulerLimits } from './scheduler-limits.ts';

export interface InstanceRoomDeps<I extends PooledInstance> {
  readonly limits: SchedulerLimits;
  readonly pools: ReadonlyMap<string, FunctionPool<I>>;
  /** An idle instance is stopped because others need the room. */
  readonly onEvicted?: ((functionName: string) => void) | undefined;
}

/**
 * What all instances take of the machine, and what there is for more. Where that is too little, idle instances of others
 * make room: the cheapest to start again and the seldomest used first.
 */
export class InstanceRoom<I extends PooledInstance> {
  readonly #deps: InstanceRoomDeps<I>;
  #instances = 0;
  #memoryMb = 0;
  /** Of the two above, what will be free in a moment. */
  #leaving = 0;
  #leavingMb = 0;
  #keepAliveClock = 0;

  constructor(deps: InstanceRoomDeps<I>) {
    this.#deps = deps;
  }

  /** What an instance that is used now is marked with. */
  get keepAliveClock(): number {
    return this.#keepAliveClock;
  }

  /** An instance is started. */
  take({ runnable }: FunctionPool<I>): void {
    this.#memoryMb += runnable.memoryMb;
    this.#instances += 1;
  }

  /** An instance has ended. */
  giveBack({ runnable }: FunctionPool<I>): void {
    this.#instances -= 1;
    this.#memoryMb -= runnable.memoryMb;
  }

  /** Its state was `from` before. */
  countLeaving({ runnable }: FunctionPool<I>, { state }: I, from: InstanceState): void {
    const change = Number(isLeaving(state)) - Number(isLeaving(from));
    this.#leaving += change;
    this.#leavingMb += change * runnable.memoryMb;
  }

  /** Instances that the pool may have besides, as far as numbers go. */
  for(pool: FunctionPool<I>): number {
    return Math.max(0, Math.min(this.#ownRoomFor(pool), this.#deps.limits.instancesMax - this.#instances));
  }

  get memoryMbLeft(): number {
    return this.#deps.limits.memoryMbMax - this.#memoryMb;
  }

  /** Where all that is provisioned does not fit at once, it takes what is free and drives nobody out. */
  get fitsProvisioned(): boolean {
    let memoryMb = 0;
    for (const pool of this.#deps.pools.values()) memoryMb += pool.provisioned * pool.runnable.memoryMb;
    return memoryMb <= this.#deps.limits.memoryMbMax;
  }

  /** Stops idle instances where the pool needs what they hold. What is on its way out already is waited for. */
  make(pool: FunctionPool<I>, missing: number): void {
    const { group } = pool;
    const ownRoom = this.#ownRoomFor(pool);
    const others = [...group.pools].filter((other) => other !== pool);
    const spare = others.flatMap((other) => other.spare());
    for (const instance of spare.slice(0, Math.max(0, missing - ownRoom - group.leaving))) instance.drain();

    // Nobody is driven out for instances that the function's own limits would not let start.
    const possible = Math.min(missing, ownRoom);
    if (possible === 0) return;
    const { memoryMbMax, instancesMax } = this.#deps.limits;
    const shortMb = this.#memoryMb - this.#leavingMb + possible * pool.runnable.memoryMb - memoryMbMax;
    const short = this.#instances - this.#leaving + possible - instancesMax;
    if (shortMb <= 0 && short <= 0) return;
    // Where the number is short, each instance counts the same.
    if (shortMb > 0) this.#evict(pool, shortMb, (memoryMb) => memoryMb);
    else this.#evict(pool, short, () => 1);
  }

  /** Whether others' requests wait for what an idle instance of this pool holds, and nothing else is about to give it. */
  isNeeded(pool: FunctionPool<I>, wanting: ReadonlySet<FunctionPool<I>>): boolean {
    if (wanting.size === 0 || pool.lasting <= pool.provisioned) return false;
    const { memoryMbMax, instancesMax } = this.#deps.limits;
    for (const other of wanting) {
      if (other === pool || other.waiters.size === 0) continue;
      if (this.#ownRoomFor(other) === 0) {
        if (other.group === pool.group && other.group.leaving === 0) return true;
        continue;
      }
      if (this.#instances - this.#leaving >= instancesMax) return true;
      if (this.#memoryMb - this.#leavingMb + other.runnable.memoryMb > memoryMbMax) return true;
    }
    return false;
  }

  #ownRoomFor({ group, runnable }: FunctionPool<I>): number {
    const { instancesPerFunctionMax, instancesPerServerMax = Infinity } = this.#deps.limits;
    return functionRoom({
      functionInstances: group.instances,
      functionInstancesMax: Math.min(
        runnable.instancesMax ?? Infinity,
        instancesPerFunctionMax,
        runnable.server === undefined ? Infinity : instancesPerServerMax,
      ),
      versionInstances: group.instancesOf(runnable.versionId),
      versionInstancesMax: runnable.instancesMax,
      functionSlots: group.slots,
      reserved: group.reserved,
      slotsPerInstance: runnable.instanceConcurrency,
    });
  }

  #evict(forPool: FunctionPool<I>, needed: number, sizeOf: (memoryMb: number) => number): void {
    const candidates = [...this.#deps.pools.values()]
      .filter((pool) => pool !== forPool)
      .flatMap((pool) =>
        pool.spare().map((instance) => ({
          instance,
          pool,
          clock: pool.instances.get(instance)?.clock ?? 0,
          uses: pool.uses,
          coldStartMs: pool.coldStartMs,
          memoryMb: sizeOf(pool.runnable.memoryMb),
          usedMs: restingSince(instance.state) ?? 0,
        })),
      );
    const { evicted, clock } = instancesToEvict(candidates, needed, this.#keepAliveClock);
    this.#keepAliveClock = clock;
    for (const { instance, pool } of evicted) {
      this.#deps.onEvicted?.(pool.group.functionName);
      instance.drain();
    }
  }
}
