import assert from 'node:assert/strict';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../base/clock.ts';
import type { DeadlineWheel } from '../base/deadline-wheel.ts';
import type { Instance } from '../instance/instance.ts';
import { inFlightOf, type InstanceState } from '../instance/instance-state.ts';
import type { RunnableVersion } from '../model/runnable.ts';
import { FunctionGroup } from './function-group.ts';
import { FunctionPool } from './function-pool.ts';
import { IdleSweep } from './idle-sweep.ts';
import { plannedStopMs } from './keep-alive-plan.ts';
import { instancesToEvict } from './keep-alive.ts';
import {
  functionRoom,
  instancesToStart,
  instancesWanted,
  provisionRetryMs,
  waitersToFail,
  wantedByWaiters,
} from './policy.ts';
import {
  isLeaving,
  restingSince,
  type PooledInstance,
  type PooledInstanceEvents,
} from './pooled-instance.ts';
import { Rhythm } from './rhythm.ts';
import type { SessionTable } from './session-table.ts';
import type { Waiter } from './waiter.ts';

export interface SchedulerLimits {
  /** Instances of all functions together. */
  readonly instancesMax: number;
  readonly instancesPerFunctionMax: number;
  /** Of a function that is a web server; absent: as of any other. One, where every server has the same host's ports. */
  readonly instancesPerServerMax?: number;
  /** Sum of the memory limits of all instances, in MB. */
  readonly memoryMbMax: number;
  readonly waitersPerFunctionMax: number;
  /** Longest wait for a slot while none is starting. */
  readonly waitMsMax: number;
  /** An instance that was not used for so long is stopped, where its function says nothing else. */
  readonly idleMsMax: number;
}

export const DEFAULT_INSTANCES_MAX = 1000;
export const DEFAULT_WAITERS_PER_FUNCTION_MAX = 1000;
export const DEFAULT_WAIT_MS_MAX = 60_000;
export const DEFAULT_IDLE_MS_MAX = 5 * 60_000;
/** A provisioned instance that ends sooner than this after its start has failed. */
const STABLE_MS = 10_000;
/** How often a request that wants to begin a session looks whether another one is over. */
const SESSION_ROOM_LOOK_MS = 500;
/** How often an instance that only sessions hold is looked at again. */
const SESSION_LOOK_MS = 30_000;
const RETRY_AFTER_S = 1;

/**
 * How long an idle instance stays, where its function does not say: `fixed`, or by what is known of the function's
 * `rhythm`, which also starts one ahead of a call that is expected.
 */
export type KeepAlive = 'fixed' | 'rhythm';

export interface SchedulerDeps<I extends PooledInstance> {
  readonly clock: Clock;
  readonly wheel: DeadlineWheel;
  readonly limits: SchedulerLimits;
  /** Absent: `fixed`. */
  readonly keepAlive?: KeepAlive;
  /**
   * The revision that serves now where this one did before; undefined where none may be started. Absent: the same.
   */
  readonly currentOf?: (runnable: RunnableVersion) => RunnableVersion | undefined;
  /** Makes an instance; the scheduler starts it. */
  readonly createInstance: (runnable: RunnableVersion, events: PooledInstanceEvents<I>) => I;
  /** A request was refused because of a limit. */
  readonly onThrottled?: (functionName: string) => void;
  /** An idle instance is stopped because others need the room. */
  readonly onEvicted?: (functionName: string) => void;
}

export interface Provision {
  readonly runnable: RunnableVersion;
  readonly target: number;
}

/**
 * Finds a slot for every invocation: a free one at once, else the first that becomes free or ready; starts instances when
 * the waiting ones are not covered or some are to be kept ready, makes room by stopping idle ones, and stops what has
 * not been used for long. Limits hold at every moment, and a changed one from that moment on.
 */
export class Scheduler<I extends PooledInstance = Instance> {
  readonly #deps: SchedulerDeps<I>;
  readonly #groups = new Map<string, FunctionGroup<I>>();
  /** Of every function that was called and is still there: it outlives the function's instances. */
  readonly #rhythms = new Map<string, Rhythm>();
  readonly #pools = new Map<string, FunctionPool<I>>();
  /** The pool of the newest revision that was asked for, by function and version. */
  readonly #current = new Map<string, FunctionPool<I>>();
  /** Pools that want to start more instances than the limits allow now. */
  readonly #wanting = new Set<FunctionPool<I>>();
  readonly #idleSweep: IdleSweep;
  #instances = 0;
  #memoryMb = 0;
  /** Of the two above, what will be free in a moment. */
  #leaving = 0;
  #leavingMb = 0;
  #keepAliveClock = 0;
  #isClosed = false;

  constructor(deps: SchedulerDeps<I>) {
    this.#deps = deps;
    this.#idleSweep = new IdleSweep(deps.clock, deps.wheel, (nowMs) => this.#stopIdle(nowMs));
  }

  /** Instances by function, for lists and metrics. */
  *instances(): Iterable<I> {
    for (const pool of this.#pools.values()) yield* pool.instances.keys();
  }

  /** Requests that wait, by function; functions that nobody waits for are left out. */
  *waiting(): Iterable<{ readonly functionName: string; readonly waiting: number }> {
    for (const { functionName, waiting } of this.#groups.values()) {
      if (waiting > 0) yield { functionName, waiting };
    }
  }

  acquire(runnable: RunnableVersion, waiter: Waiter<I>): void {
    if (this.#isClosed) {
      waiter.onRefused(shuttingDown());
      return;
    }
    const pool = this.#poolFor(runnable);
    this.#wake(pool);
    if (pool.sessions !== undefined && waiter.sessionId !== undefined) {
      this.#acquireInSession(pool, pool.sessions, waiter, waiter.sessionId);
      return;
    }
    const instance = pool.waiters.size === 0 && pool.group.mayRunMore ? pool.takeFree() : undefined;
    if (instance !== undefined) waiter.onSlot(instance);
    else if (this.#enqueue(pool, waiter)) this.#scale(pool);
  }

  /**
   * A request of a session runs on the instance that it was given, until `leaveSession`: the session is not over
   * meanwhile, and idles from the end on.
   */
  enterSession(runnable: RunnableVersion, sessionId: string, instance: I): void {
    this.#countRunning(runnable, sessionId, instance, 1);
  }

  leaveSession(runnable: RunnableVersion, sessionId: string, instance: I): void {
    this.#countRunning(runnable, sessionId, instance, -1);
  }

  /** The caller is gone before it got a slot. */
  withdraw(runnable: RunnableVersion, waiter: Waiter<I>): void {
    const pool = this.#pools.get(runnable.key);
    if (pool !== undefined && this.#dequeue(pool, waiter)) this.#unwatch(waiter);
  }

  /**
   * From now on at most so many requests of the function run at once, in all its versions together; undefined lifts the
   * bound. What runs goes on; idle instances beyond the bound stop.
   */
  reserve(functionName: string, reserved: number | undefined): void {
    if (this.#groups.get(functionName)?.reserved === reserved) return;
    const group = this.#groupOf(functionName);
    group.reserved = reserved;
    for (const pool of group.pools) {
      for (const instance of pool.resting()) if (this.#isBeyondReserved(pool)) instance.drain();
    }
    for (const pool of group.pools) {
      if (reserved === 0) this.#refuseAll(pool, () => this.#refusedByReservation(functionName));
    }
    this.#serveGroup(group);
    for (const pool of group.pools) this.#scale(pool);
    this.#forgetGroupIfEmpty(group);
  }

  /** From now on so many instances of these versions are kept ready, and none of the function's other ones. */
  provision(functionName: string, provisions: readonly Provision[]): void {
    if (this.#isClosed || (provisions.length === 0 && !this.#groups.has(functionName))) return;
    const group = this.#groupOf(functionName);
    for (const pool of group.pools) pool.target = 0;
    for (const { runnable, target } of provisions) {
      if (target > 0) this.#poolFor(runnable).target += target;
    }
    for (const pool of group.pools) {
      this.#scale(pool);
      // Those that were kept ready until now may have been idle for long.
      if (pool.lasting > pool.provisioned) this.#idleSweep.expect(this.#deps.clock.monotonicMs());
      this.#forgetIfEmpty(pool);
    }
    this.#forgetGroupIfEmpty(group);
  }

  /** How far a provision has come: instances that are ready, and why there are not more. */
  provisioned({ runnable, target }: Provision): { readonly current: number; readonly error?: string } {
    const pool = this.#pools.get(runnable.key);
    const current = Math.min(target, pool?.ready ?? 0);
    if (pool === undefined || current === target) return { current };
    if (pool.lastFailure !== undefined) return { current, error: pool.lastFailure };
    if (!this.#wanting.has(pool)) return { current };
    return { current, error: 'the limits on instances or memory leave no room for more' };
  }

  /** Settings that concern no instance have changed: the version is the same. */
  adopt(runnable: RunnableVersion): void {
    const pool = this.#pools.get(runnable.key);
    if (pool === undefined || pool.runnable === runnable) return;
    pool.runnable = runnable;
    this.#idleSweep.expect(this.#deps.clock.monotonicMs());
  }

  /** The function is gone: its idle instances stop, busy ones finish, waiters are still served. */
  retireFunction(functionName: string): void {
    this.#forgetRhythm(functionName);
    const group = this.#groups.get(functionName);
    if (group === undefined) return;
    group.reserved = undefined;
    for (const pool of group.pools) {
      pool.target = 0;
      this.#retire(pool);
    }
    this.#forgetGroupIfEmpty(group);
  }

  /** Refuses who waits and ends every instance; running invocations get `graceMs` to finish. */
  async close(graceMs: number): Promise<void> {
    this.#isClosed = true;
    this.#idleSweep.close();
    for (const functionName of this.#rhythms.keys()) this.#forgetRhythm(functionName);
    const stopped: Promise<void>[] = [];
    for (const pool of this.#pools.values()) {
      this.#refuseAll(pool, shuttingDown);
      for (const instance of pool.instances.keys()) {
        stopped.push(instance.stopped);
        instance.drain();
        this.#deps.wheel.set(graceMs, () => instance.kill(shuttingDown()));
      }
    }
    await Promise.all(stopped);
  }

  #groupOf(functionName: string): FunctionGroup<I> {
    let group = this.#groups.get(functionName);
    if (group === undefined) {
      group = new FunctionGroup(functionName, this.#rhythmOf(functionName));
      this.#groups.set(functionName, group);
    }
    return group;
  }

  #rhythmOf(functionName: string): Rhythm {
    let rhythm = this.#rhythms.get(functionName);
    if (rhythm === undefined) {
      rhythm = new Rhythm();
      this.#rhythms.set(functionName, rhythm);
    }
    return rhythm;
  }

  #forgetRhythm(functionName: string): void {
    const prewarm = this.#rhythms.get(functionName)?.prewarm;
    if (prewarm !== undefined) this.#deps.wheel.clear(prewarm);
    this.#rhythms.delete(functionName);
  }

  /** A call has come. */
  #wake({ group, runnable }: FunctionPool<I>): void {
    const { rhythm } = group;
    rhythm.runnable = runnable;
    if (group.inFlight > 0 || rhythm.quietSinceMs === undefined) return;
    rhythm.wake(this.#deps.clock.monotonicMs(), runnable.memoryMb);
    if (rhythm.prewarm !== undefined) this.#deps.wheel.clear(rhythm.prewarm);
    rhythm.prewarm = undefined;
  }

  /** The last call of a function has ended. */
  #rest({ functionName, rhythm }: FunctionGroup<I>): void {
    rhythm.rest(this.#deps.clock.monotonicMs());
    const prewarmMs = rhythm.plan?.prewarmMs ?? 0;
    if (this.#deps.keepAlive !== 'rhythm' || prewarmMs === 0 || this.#isClosed) return;
    rhythm.prewarm = this.#deps.wheel.set(prewarmMs, () => {
      rhythm.prewarm = undefined;
      if (this.#rhythms.get(functionName) === rhythm) this.#prewarm(rhythm);
    });
  }

  /** Starts an instance for the call that is expected, in memory that nobody else has. */
  #prewarm({ runnable, quietSinceMs }: Rhythm): void {
    const current =
      runnable === undefined || this.#deps.currentOf === undefined
        ? runnable
        : this.#deps.currentOf(runnable);
    if (this.#isClosed || current === undefined || quietSinceMs === undefined) return;
    // Whoever sets the time himself wants no other.
    if (current.idleMsMax !== undefined || this.#memoryLeft() < current.memoryMb) return;
    const pool = this.#poolFor(current);
    if (pool.lasting === 0 && this.#roomFor(pool) > 0 && pool.group.reserved !== 0) {
      this.#start(pool, this.#deps.clock.monotonicMs());
    }
    this.#forgetIfEmpty(pool);
  }

  #poolFor(runnable: RunnableVersion): FunctionPool<I> {
    const known = this.#pools.get(runnable.key);
    if (known !== undefined && !known.isRetired) return known;
    const group = this.#groupOf(runnable.functionName);
    const pool = known ?? new FunctionPool<I>(group, runnable, this.#deps.limits.waitersPerFunctionMax);
    pool.isRetired = false;
    group.pools.add(pool);
    this.#pools.set(runnable.key, pool);
    const version = versionOf(runnable);
    const previous = this.#current.get(version);
    this.#current.set(version, pool);
    if (previous !== undefined && previous !== pool) this.#retire(previous);
    return pool;
  }

  /** Another revision serves from now on, unless a request that was resolved before it still asks for this one. */
  #retire(pool: FunctionPool<I>): void {
    pool.isRetired = true;
    if (pool.waiting === 0) for (const instance of pool.instances.keys()) instance.drain();
    this.#forgetIfEmpty(pool);
  }

  #countRunning(runnable: RunnableVersion, sessionId: string, instance: I, change: 1 | -1): void {
    const sessions = this.#pools.get(runnable.key)?.sessions;
    sessions?.countRunning(sessionId, instance, change, this.#deps.clock.monotonicMs());
  }

  #acquireInSession(
    pool: FunctionPool<I>,
    sessions: SessionTable<I>,
    waiter: Waiter<I>,
    sessionId: string,
  ): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const session = sessions.use(sessionId, nowMs);
    if (session === undefined) {
      const mayTake = pool.waiters.size === 0 && pool.group.mayRunMore;
      const instance = mayTake ? pool.takeFreeForSession(sessions, nowMs) : undefined;
      if (instance !== undefined) {
        sessions.bind(sessions.open(sessionId, nowMs), instance);
        waiter.onSlot(instance);
      } else if (this.#enqueue(pool, waiter)) {
        sessions.open(sessionId, nowMs);
        this.#scale(pool);
        this.#awaitSessionRoom(pool);
      }
      return;
    }
    const { instance } = session;
    const isFree = instance?.hasFreeSlot() === true && pool.group.mayRunMore;
    if (instance !== undefined && isFree && !sessions.hasWaiting(instance)) {
      waiter.onSlot(instance);
    } else if (this.#mayWait(pool, waiter)) {
      sessions.wait(session, waiter);
      this.#watch(pool, waiter);
    }
  }

  /** False when it was refused. */
  #enqueue(pool: FunctionPool<I>, waiter: Waiter<I>): boolean {
    if (!this.#mayWait(pool, waiter)) return false;
    assert(pool.waiters.push(waiter), 'the queue of a version takes as many as the function may have');
    this.#watch(pool, waiter);
    return true;
  }

  #mayWait(pool: FunctionPool<I>, waiter: Waiter<I>): boolean {
    const { functionName, reserved, waiting } = pool.group;
    if (reserved === 0) {
      waiter.onRefused(this.#refusedByReservation(functionName));
      return false;
    }
    if (waiting < this.#deps.limits.waitersPerFunctionMax) return true;
    waiter.onRefused(this.#throttled('QUEUE_FULL', functionName, `${waiting} requests already wait for it`));
    return false;
  }

  /** Takes it out of whichever queue it is in. */
  #dequeue(pool: FunctionPool<I>, waiter: Waiter<I>): boolean {
    if (pool.sessions?.remove(waiter) === true) return true;
    if (!pool.waiters.remove(waiter)) return false;
    this.#promote(pool, waiter);
    return true;
  }

  /** The next request of the same session waits in place of the one that left the queue without an instance. */
  #promote(pool: FunctionPool<I>, { sessionId }: Waiter<I>): void {
    if (sessionId === undefined) return;
    const next = pool.sessions?.promote(sessionId);
    if (next !== undefined) assert(pool.waiters.push(next), 'one has just left the queue');
  }

  #scale(pool: FunctionPool<I>): void {
    if (this.#isClosed) return;
    const nowMs = this.#deps.clock.monotonicMs();
    let counts = pool.counts(this.#roomFor(pool), nowMs);
    while (instancesToStart(counts) > 0 && this.#memoryLeft() >= pool.runnable.memoryMb) {
      this.#start(pool, nowMs);
      counts = pool.counts(this.#roomFor(pool), nowMs);
    }
    const missing = instancesWanted(counts);
    if (missing === 0) {
      this.#wanting.delete(pool);
      return;
    }
    this.#wanting.add(pool);
    const isUrgent = wantedByWaiters(counts) > 0;
    if (isUrgent || this.#provisionsFit()) this.#makeRoom(pool, missing);
  }

  #start(pool: FunctionPool<I>, nowMs: number): void {
    const { memoryMb } = pool.runnable;
    this.#memoryMb += memoryMb;
    this.#instances += 1;
    const instance = this.#deps.createInstance(pool.runnable, {
      onChange: (changed, from) => this.#onChange(pool, changed, from),
      onStartFailed: (failed, error) => this.#onStartFailed(pool, failed, error),
    });
    pool.addStarting(instance, { startedMs: nowMs, clock: this.#keepAliveClock, startFailed: false });
    void instance.start();
  }

  #roomFor(pool: FunctionPool<I>): number {
    return Math.max(0, Math.min(this.#ownRoomFor(pool), this.#deps.limits.instancesMax - this.#instances));
  }

  #ownRoomFor({ group, runnable }: FunctionPool<I>): number {
    return functionRoom({
      functionInstances: group.instances,
      functionInstancesMax: Math.min(
        runnable.instancesMax ?? Infinity,
        this.#deps.limits.instancesPerFunctionMax,
        runnable.server === undefined ? Infinity : (this.#deps.limits.instancesPerServerMax ?? Infinity),
      ),
      versionInstances: group.instancesOf(runnable.versionId),
      versionInstancesMax: runnable.instancesMax,
      functionSlots: group.slots,
      reserved: group.reserved,
      slotsPerInstance: runnable.instanceConcurrency,
    });
  }

  #memoryLeft(): number {
    return this.#deps.limits.memoryMbMax - this.#memoryMb;
  }

  /** Where all that is provisioned does not fit at once, it takes what is free and drives nobody out. */
  #provisionsFit(): boolean {
    let memoryMb = 0;
    for (const pool of this.#pools.values()) memoryMb += pool.provisioned * pool.runnable.memoryMb;
    return memoryMb <= this.#deps.limits.memoryMbMax;
  }

  /** Stops idle instances where the pool needs what they hold. What is on its way out already is waited for. */
  #makeRoom(pool: FunctionPool<I>, missing: number): void {
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

  #evict(forPool: FunctionPool<I>, needed: number, sizeOf: (memoryMb: number) => number): void {
    const candidates = [...this.#pools.values()]
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

  #onChange(pool: FunctionPool<I>, instance: I, from: InstanceState): void {
    const { state } = instance;
    const to = state.name;
    const standing = pool.instances.get(instance);
    const taken = inFlightOf(state) - inFlightOf(from);
    pool.group.inFlight += taken;
    if (taken < 0 && pool.group.inFlight === 0 && pool.group.waiting === 0) this.#rest(pool.group);
    if (taken > 0) {
      pool.uses += 1;
      if (standing !== undefined) standing.clock = this.#keepAliveClock;
    }
    const wasStarting = from.name === 'starting' || from.name === 'initializing';
    if (wasStarting && to !== 'initializing') {
      pool.endStarting();
      if (to === 'idle' && standing !== undefined) {
        pool.lastFailure = undefined;
        pool.coldStartMs = Math.max(1, this.#deps.clock.monotonicMs() - standing.startedMs);
      }
    }
    pool.relist(instance);
    if (to === 'draining' || to === 'stopped') this.#onLeaving(pool, instance, from);
    if (to === 'stopped') this.#onStopped(pool, instance);
    else if (taken <= 0 && instance.hasFreeSlot()) {
      this.#serveSessions(pool, instance);
      this.#serveWaiters(pool);
      this.#onIdle(pool, instance);
    }
    // Others may run more now that this one runs less.
    if (taken < 0 && pool.group.reserved !== undefined) this.#serveGroup(pool.group);
  }

  #onLeaving(pool: FunctionPool<I>, instance: I, from: InstanceState): void {
    pool.countLeaving(instance, from);
    const change = Number(isLeaving(instance.state)) - Number(isLeaving(from));
    this.#leaving += change;
    this.#leavingMb += change * pool.runnable.memoryMb;
    if (from.name === 'draining' || pool.sessions === undefined) return;
    // Its sessions begin anew on other instances, those that wait for it first.
    for (const waiter of pool.sessions.release(instance)) {
      this.#unwatch(waiter);
      this.acquire(pool.runnable, waiter);
    }
  }

  #onStopped(pool: FunctionPool<I>, instance: I): void {
    const standing = pool.instances.get(instance);
    pool.instances.delete(instance);
    this.#instances -= 1;
    this.#memoryMb -= pool.runnable.memoryMb;
    if (standing !== undefined && !standing.startFailed && pool.lasting < pool.provisioned) {
      const livedMs = this.#deps.clock.monotonicMs() - standing.startedMs;
      if (livedMs < STABLE_MS) this.#onProvisionFailed(pool, 'an instance ended soon after its start');
      else pool.failures = 0;
    }
    // A provisioned instance is replaced before anybody else takes its room.
    if (pool.lasting < pool.provisioned) this.#scale(pool);
    for (const wanting of this.#wanting) this.#scale(wanting);
    this.#scale(pool);
    this.#forgetIfEmpty(pool);
  }

  #onIdle(pool: FunctionPool<I>, instance: I): void {
    const sinceMs = restingSince(instance.state);
    if (sinceMs === undefined) return;
    if (pool.isRetired || this.#isBeyondReserved(pool) || this.#isNeededElsewhere(pool)) instance.drain();
    else {
      const dueMs = Math.min(this.#idleDueMs(pool, instance, false), this.#idleDueMs(pool, instance, true));
      this.#idleSweep.expect(dueMs);
    }
  }

  /** When an idle instance is to stop. The rhythm speaks of a function's next call, and so of one instance. */
  #idleDueMs(pool: FunctionPool<I>, instance: I, isNewest: boolean): number {
    const sinceMs = restingSince(instance.state) ?? this.#deps.clock.monotonicMs();
    const { plan, quietSinceMs } = pool.group.rhythm;
    const isPlanned = isNewest && this.#deps.keepAlive === 'rhythm' && pool.runnable.idleMsMax === undefined;
    if (!isPlanned || plan === undefined || quietSinceMs === undefined) return sinceMs + this.#idleMsOf(pool);
    return plannedStopMs(plan, quietSinceMs, sinceMs);
  }

  #idleMsOf(pool: FunctionPool<I>): number {
    return pool.runnable.idleMsMax ?? this.#deps.limits.idleMsMax;
  }

  /** Whether the function's other instances offer all the slots that it may use. */
  #isBeyondReserved(pool: FunctionPool<I>): boolean {
    const { reserved } = pool.group;
    if (reserved === undefined) return false;
    let slots = -pool.runnable.instanceConcurrency;
    for (const each of pool.group.pools) slots += each.lasting * each.runnable.instanceConcurrency;
    return slots >= reserved;
  }

  /** Whether requests wait for what an idle instance of this pool holds, and nothing else is about to give it. */
  #isNeededElsewhere(pool: FunctionPool<I>): boolean {
    if (this.#wanting.size === 0 || pool.lasting <= pool.provisioned) return false;
    const { memoryMbMax, instancesMax } = this.#deps.limits;
    for (const other of this.#wanting) {
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

  #serveSessions(pool: FunctionPool<I>, instance: I): void {
    const { sessions, group } = pool;
    if (sessions === undefined) return;
    while (group.mayRunMore && instance.hasFreeSlot()) {
      const waiter = sessions.shiftWaiting(instance);
      if (waiter === undefined) return;
      this.#unwatch(waiter);
      waiter.onSlot(instance);
    }
  }

  #serveWaiters(pool: FunctionPool<I>): void {
    const { sessions, group, waiters } = pool;
    while (waiters.size > 0 && group.mayRunMore) {
      const nowMs = sessions === undefined ? 0 : this.#deps.clock.monotonicMs();
      const instance = sessions === undefined ? pool.takeFree() : pool.takeFreeForSession(sessions, nowMs);
      const waiter = instance === undefined ? undefined : waiters.shift();
      if (instance === undefined || waiter === undefined) return;
      this.#unwatch(waiter);
      const session = waiter.sessionId === undefined ? undefined : sessions?.use(waiter.sessionId, nowMs);
      if (session !== undefined) sessions?.bind(session, instance);
      waiter.onSlot(instance);
      if (session !== undefined) this.#serveSessions(pool, instance);
    }
  }

  #serveGroup(group: FunctionGroup<I>): void {
    for (const pool of group.pools) {
      if (pool.waiting === 0) continue;
      if (pool.sessions !== undefined) {
        for (const instance of pool.instances.keys()) this.#serveSessions(pool, instance);
      }
      this.#serveWaiters(pool);
    }
  }

  /** A session's time passes without any event: while a new one waits, the pool looks whether there is room by now. */
  #awaitSessionRoom(pool: FunctionPool<I>): void {
    if (pool.awaitsSessionRoom || pool.waiters.size === 0) return;
    pool.awaitsSessionRoom = true;
    this.#deps.wheel.set(SESSION_ROOM_LOOK_MS, () => {
      pool.awaitsSessionRoom = false;
      this.#serveWaiters(pool);
      this.#awaitSessionRoom(pool);
    });
  }

  #onStartFailed(pool: FunctionPool<I>, instance: I, error: ThawError): void {
    const standing = pool.instances.get(instance);
    if (standing !== undefined) standing.startFailed = true;
    if (pool.provisioned > 0) this.#onProvisionFailed(pool, error.message);
    // The failed instance still counts as starting: its waiters are those that it alone covered.
    const counts = pool.counts(0, this.#deps.clock.monotonicMs());
    let failing = waitersToFail({ ...counts, startingInstances: counts.startingInstances - 1 });
    for (; failing > 0; failing -= 1) {
      const waiter = pool.waiters.shift();
      if (waiter === undefined) return;
      this.#refuse(pool, waiter, error);
    }
  }

  /** The next start of a provisioned instance waits, the longer the more often it went wrong. */
  #onProvisionFailed(pool: FunctionPool<I>, message: string): void {
    pool.failures += 1;
    pool.lastFailure = message;
    const retryMs = provisionRetryMs(pool.failures);
    pool.retryAtMs = this.#deps.clock.monotonicMs() + retryMs;
    this.#deps.wheel.set(retryMs, () => this.#scale(pool));
  }

  #watch(pool: FunctionPool<I>, waiter: Waiter<I>): void {
    waiter.deadline = this.#deps.wheel.set(this.#deps.limits.waitMsMax, () => {
      // A start under way has deadlines of its own and ends with an answer for its waiters.
      const isBound = waiter.sessionId !== undefined && pool.sessions?.isBound(waiter.sessionId) === true;
      if (pool.hasStarting && !isBound) {
        this.#watch(pool, waiter);
      } else if (this.#dequeue(pool, waiter)) {
        const waited = `no slot came free in ${this.#deps.limits.waitMsMax / 1000} seconds`;
        waiter.onRefused(this.#throttled('THROTTLED', pool.group.functionName, waited));
      }
    });
  }

  #unwatch(waiter: Waiter<I>): void {
    if (waiter.deadline !== undefined) this.#deps.wheel.clear(waiter.deadline);
    waiter.deadline = undefined;
  }

  #refuse(pool: FunctionPool<I>, waiter: Waiter<I>, error: ThawError): void {
    this.#unwatch(waiter);
    this.#promote(pool, waiter);
    waiter.onRefused(error);
  }

  #refuseAll(pool: FunctionPool<I>, error: () => ThawError): void {
    for (const waiter of pool.sessions?.takeAllWaiting() ?? []) {
      this.#unwatch(waiter);
      waiter.onRefused(error());
    }
    for (let waiter = pool.waiters.shift(); waiter !== undefined; waiter = pool.waiters.shift()) {
      this.#refuse(pool, waiter, error());
    }
  }

  #throttled(code: 'QUEUE_FULL' | 'THROTTLED', functionName: string, why: string): ThawError {
    this.#deps.onThrottled?.(functionName);
    return new ThawError(code, `function '${functionName}' is busy: ${why}`, {
      details: { function: functionName },
      retryAfterS: RETRY_AFTER_S,
    });
  }

  #refusedByReservation(functionName: string): ThawError {
    return this.#throttled('THROTTLED', functionName, 'its reserved concurrency is 0');
  }

  #forgetIfEmpty(pool: FunctionPool<I>): void {
    if (!pool.isEmpty) return;
    this.#wanting.delete(pool);
    pool.group.pools.delete(pool);
    this.#forgetGroupIfEmpty(pool.group);
    if (this.#pools.get(pool.runnable.key) === pool) this.#pools.delete(pool.runnable.key);
    const version = versionOf(pool.runnable);
    if (this.#current.get(version) === pool) this.#current.delete(version);
  }

  #forgetGroupIfEmpty(group: FunctionGroup<I>): void {
    if (group.pools.size === 0 && group.reserved === undefined) this.#groups.delete(group.functionName);
  }

  #stopIdle(nowMs: number): number | undefined {
    let next: number | undefined;
    for (const pool of this.#pools.values()) {
      const spare = pool.spare();
      for (const [index, instance] of spare.entries()) {
        const isHeld = pool.sessions?.holds(instance, nowMs) === true;
        const isNewest = index === spare.length - 1;
        const dueMs = isHeld ? nowMs + SESSION_LOOK_MS : this.#idleDueMs(pool, instance, isNewest);
        if (dueMs <= nowMs) instance.drain();
        else next = Math.min(next ?? dueMs, dueMs);
      }
    }
    return next;
  }
}

function versionOf(runnable: RunnableVersion): string {
  return `${runnable.functionName}:${runnable.versionId}`;
}

function shuttingDown(): ThawError {
  return new ThawError('SHUTTING_DOWN', 'the platform is shutting down');
}
