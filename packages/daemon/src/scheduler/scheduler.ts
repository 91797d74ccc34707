import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../base/clock.ts';
import type { DeadlineWheel } from '../base/deadline-wheel.ts';
import type { Instance, InstanceEvents } from '../instance/instance.ts';
import type { InstanceState } from '../instance/instance-state.ts';
import type { RunnableVersion } from '../model/runnable.ts';
import { FunctionPool } from './function-pool.ts';
import { instancesToStart, waitersToFail } from './policy.ts';
import type { Waiter } from './waiter.ts';

export interface SchedulerLimits {
  readonly instancesPerFunctionMax: number;
  /** Sum of the memory limits of all instances, in MB. */
  readonly memoryMbMax: number;
  readonly waitersPerFunctionMax: number;
  /** Longest wait for a slot while none is starting. */
  readonly waitMsMax: number;
  /** An instance that was idle for so long is stopped. */
  readonly idleMsMax: number;
}

export const DEFAULT_WAITERS_PER_FUNCTION_MAX = 1000;
export const DEFAULT_WAIT_MS_MAX = 60_000;
export const DEFAULT_IDLE_MS_MAX = 5 * 60_000;
const IDLE_SWEEP_MS = 5_000;
const RETRY_AFTER_S = 1;

export interface SchedulerDeps {
  readonly clock: Clock;
  readonly wheel: DeadlineWheel;
  readonly limits: SchedulerLimits;
  /** Makes an instance; the scheduler starts it. */
  readonly createInstance: (runnable: RunnableVersion, events: InstanceEvents) => Instance;
}

/**
 * Finds a slot for every invocation: a free one at once, else the first that becomes free or ready; starts instances when
 * the waiting ones are not covered, makes room by stopping idle ones, and stops what has been idle for long.
 */
export class Scheduler {
  readonly #deps: SchedulerDeps;
  readonly #pools = new Map<string, FunctionPool>();
  /** The pool of the newest revision that was asked for, by function and version. */
  readonly #current = new Map<string, FunctionPool>();
  /** Pools that want to start an instance and found no memory left. */
  readonly #wantingMemory = new Set<FunctionPool>();
  #memoryMb = 0;
  #isClosed = false;
  #sweeping = false;

  constructor(deps: SchedulerDeps) {
    this.#deps = deps;
  }

  /** Instances by function, for lists and metrics. */
  *instances(): Iterable<Instance> {
    for (const pool of this.#pools.values()) yield* pool.instances;
  }

  waiting(): number {
    let sum = 0;
    for (const pool of this.#pools.values()) sum += pool.waiters.size;
    return sum;
  }

  acquire(runnable: RunnableVersion, waiter: Waiter): void {
    if (this.#isClosed) {
      waiter.onRefused(new ThawError('SHUTTING_DOWN', 'the platform is shutting down'));
      return;
    }
    const pool = this.#poolFor(runnable);
    const instance = pool.waiters.size === 0 ? pool.takeFree() : undefined;
    if (instance !== undefined) {
      waiter.onSlot(instance);
      return;
    }
    if (!pool.waiters.push(waiter)) {
      waiter.onRefused(
        this.#throttled('QUEUE_FULL', runnable, `${pool.waiters.capacity} requests already wait for it`),
      );
      return;
    }
    this.#watch(pool, waiter);
    this.#scale(pool);
  }

  /** The caller is gone before it got a slot. */
  withdraw(runnable: RunnableVersion, waiter: Waiter): void {
    if (this.#pools.get(runnable.key)?.waiters.remove(waiter) === true) this.#unwatch(waiter);
  }

  /** The function is gone: its idle instances stop, busy ones finish, waiters are still served. */
  retireFunction(functionName: string): void {
    for (const pool of this.#pools.values())
      if (pool.runnable.functionName === functionName) this.#retire(pool);
  }

  /** Refuses who waits and ends every instance; running invocations get `graceMs` to finish. */
  async close(graceMs: number): Promise<void> {
    this.#isClosed = true;
    const stopped: Promise<void>[] = [];
    for (const pool of this.#pools.values()) {
      this.#refuseAll(pool, new ThawError('SHUTTING_DOWN', 'the platform is shutting down'));
      for (const instance of pool.instances) {
        stopped.push(instance.stopped);
        instance.drain();
        this.#deps.wheel.set(graceMs, () => instance.kill());
      }
    }
    await Promise.all(stopped);
  }

  #poolFor(runnable: RunnableVersion): FunctionPool {
    const known = this.#pools.get(runnable.key);
    if (known !== undefined && !known.isRetired) return known;
    const pool = known ?? new FunctionPool(runnable, this.#deps.limits.waitersPerFunctionMax);
    pool.isRetired = false;
    this.#pools.set(runnable.key, pool);
    const version = versionOf(runnable);
    const previous = this.#current.get(version);
    this.#current.set(version, pool);
    if (previous !== undefined && previous !== pool) this.#retire(previous);
    return pool;
  }

  /** Another revision serves from now on, unless a request that was resolved before it still asks for this one. */
  #retire(pool: FunctionPool): void {
    pool.isRetired = true;
    if (pool.waiters.size === 0) for (const instance of pool.instances) instance.drain();
    this.#forgetIfEmpty(pool);
  }

  #scale(pool: FunctionPool): void {
    let wanted = instancesToStart(pool.counts(this.#deps.limits.instancesPerFunctionMax));
    for (; wanted > 0; wanted -= 1) {
      if (!this.#makeRoom(pool.runnable.memoryMb)) {
        this.#wantingMemory.add(pool);
        return;
      }
      this.#start(pool);
    }
    this.#wantingMemory.delete(pool);
  }

  #start(pool: FunctionPool): void {
    this.#memoryMb += pool.runnable.memoryMb;
    const instance = this.#deps.createInstance(pool.runnable, {
      onChange: (changed, from) => this.#onChange(pool, changed, from),
      onStartFailed: (_, error) => this.#onStartFailed(pool, error),
    });
    pool.addStarting(instance);
    void instance.start();
  }

  /** Stops idle instances, longest idle first, until the memory fits. Their memory counts until they are gone. */
  #makeRoom(memoryMb: number): boolean {
    const max = this.#deps.limits.memoryMbMax;
    if (this.#memoryMb + memoryMb <= max) return true;
    const idle = [...this.#pools.values()].flatMap((pool) => pool.idle());
    idle.sort((a, b) => idleSince(a.state) - idleSince(b.state));
    let surplus = this.#memoryMb + memoryMb - max;
    for (const instance of idle) {
      if (surplus <= 0) break;
      surplus -= instance.runnable.memoryMb;
      instance.drain();
    }
    return false;
  }

  #onChange(pool: FunctionPool, instance: Instance, from: InstanceState): void {
    const to = instance.state.name;
    const wasStarting = from.name === 'starting' || from.name === 'initializing';
    if (wasStarting && to !== 'initializing') pool.endStarting();
    pool.relist(instance);
    if (to === 'stopped') {
      pool.instances.delete(instance);
      this.#memoryMb -= pool.runnable.memoryMb;
      this.#onRoom();
      this.#scale(pool);
      this.#forgetIfEmpty(pool);
    } else if (to === 'idle' || (to === 'busy' && from.name === 'busy')) {
      this.#serveWaiters(pool);
      if (instance.state.name === 'idle') this.#onIdle(pool, instance);
    }
  }

  #onIdle(pool: FunctionPool, instance: Instance): void {
    if (pool.isRetired || this.#wantingMemory.size > 0) instance.drain();
    else this.#startSweeping();
  }

  #serveWaiters(pool: FunctionPool): void {
    for (let instance = pool.takeFree(); instance !== undefined; instance = pool.takeFree()) {
      const waiter = pool.waiters.shift();
      if (waiter === undefined) return;
      this.#unwatch(waiter);
      waiter.onSlot(instance);
    }
  }

  #onStartFailed(pool: FunctionPool, error: ThawError): void {
    // The failed instance still counts as starting: its waiters are those that it alone covered.
    const counts = pool.counts(this.#deps.limits.instancesPerFunctionMax);
    let failing = waitersToFail({ ...counts, startingInstances: counts.startingInstances - 1 });
    for (; failing > 0; failing -= 1) {
      const waiter = pool.waiters.shift();
      if (waiter === undefined) return;
      this.#unwatch(waiter);
      waiter.onRefused(error);
    }
  }

  /** Memory came free: whoever wanted some tries again. */
  #onRoom(): void {
    for (const pool of this.#wantingMemory) this.#scale(pool);
  }

  #watch(pool: FunctionPool, waiter: Waiter): void {
    waiter.deadline = this.#deps.wheel.set(this.#deps.limits.waitMsMax, () => {
      // A start under way has deadlines of its own and ends with an answer for its waiters.
      if (pool.hasStarting) {
        this.#watch(pool, waiter);
      } else if (pool.waiters.remove(waiter)) {
        const waited = `no slot came free in ${this.#deps.limits.waitMsMax / 1000} seconds`;
        waiter.onRefused(this.#throttled('THROTTLED', pool.runnable, waited));
      }
    });
  }

  #unwatch(waiter: Waiter): void {
    if (waiter.deadline !== undefined) this.#deps.wheel.clear(waiter.deadline);
    waiter.deadline = undefined;
  }

  #refuseAll(pool: FunctionPool, error: ThawError): void {
    for (let waiter = pool.waiters.shift(); waiter !== undefined; waiter = pool.waiters.shift()) {
      this.#unwatch(waiter);
      waiter.onRefused(error);
    }
  }

  #throttled(code: 'QUEUE_FULL' | 'THROTTLED', runnable: RunnableVersion, why: string): ThawError {
    return new ThawError(code, `function '${runnable.functionName}' is busy: ${why}`, {
      details: { function: runnable.functionName },
      retryAfterS: RETRY_AFTER_S,
    });
  }

  #forgetIfEmpty(pool: FunctionPool): void {
    if (!pool.isEmpty) return;
    this.#wantingMemory.delete(pool);
    if (this.#pools.get(pool.runnable.key) === pool) this.#pools.delete(pool.runnable.key);
    const version = versionOf(pool.runnable);
    if (this.#current.get(version) === pool) this.#current.delete(version);
  }

  /** Runs only while something is idle: a platform at rest has no timers. */
  #startSweeping(): void {
    if (this.#sweeping || this.#isClosed) return;
    this.#sweeping = true;
    this.#deps.wheel.set(IDLE_SWEEP_MS, () => {
      this.#sweeping = false;
      const oldest = this.#deps.clock.monotonicMs() - this.#deps.limits.idleMsMax;
      for (const pool of this.#pools.values()) {
        for (const instance of pool.idle()) {
          if (idleSince(instance.state) <= oldest) instance.drain();
          else this.#startSweeping();
        }
      }
    });
  }
}

function versionOf(runnable: RunnableVersion): string {
  return `${runnable.functionName}:${runnable.versionId}`;
}

function idleSince(state: InstanceState): number {
  return state.name === 'idle' ? state.sinceMs : 0;
}
