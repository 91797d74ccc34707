import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../base/clock.ts';
import type { DeadlineWheel } from '../base/deadline-wheel.ts';
import type { Instance } from '../instance/instance.ts';
import { inFlightOf, type InstanceState } from '../instance/instance-state.ts';
import type { RunnableVersion } from '../model/runnable.ts';
import { FunctionGroup } from './function-group.ts';
import { FunctionPool } from './function-pool.ts';
import { IdleSweep } from './idle-sweep.ts';
import { InstanceRoom } from './instance-room.ts';
import { plannedStopMs } from './keep-alive-plan.ts';
import {
  instancesToStart,
  instancesWanted,
  provisionRetryMs,
  waitersToFail,
  wantedByWaiters,
} from './policy.ts';
import { restingSince, type PooledInstance, type PooledInstanceEvents } from './pooled-instance.ts';
import type { Rhythm } from './rhythm.ts';
import { Rhythms } from './rhythms.ts';
import type { SchedulerLimits } from './scheduler-limits.ts';
import type { SessionTable } from './session-table.ts';
import type { Waiter } from './waiter.ts';
import { WaitingRequests } from './waiting-requests.ts';

/** A provisioned instance that ends sooner than this after its start has failed. */
const STABLE_MS = 10_000;
/** How often an instance that only sessions hold is looked at again. */
const SESSION_LOOK_MS = 30_000;

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
  readonly #rhythms: Rhythms;
  readonly #pools = new Map<string, FunctionPool<I>>();
  /** The pool of the newest revision that was asked for, by function and version. */
  readonly #current = new Map<string, FunctionPool<I>>();
  /** Pools that want to start more instances than the limits allow now. */
  readonly #wanting = new Set<FunctionPool<I>>();
  readonly #idleSweep: IdleSweep;
  readonly #room: InstanceRoom<I>;
  readonly #requests: WaitingRequests<I>;
  #isClosed = false;

  constructor(deps: SchedulerDeps<I>) {
    this.#deps = deps;
    const { clock, wheel, limits, onThrottled, onEvicted, keepAlive } = deps;
    const onExpected = (rhythm: Rhythm): void => this.#prewarm(rhythm);
    this.#rhythms = new Rhythms({ clock, wheel, ...(keepAlive === 'rhythm' ? { onExpected } : {}) });
    this.#room = new InstanceRoom({ limits, pools: this.#pools, onEvicted });
    this.#requests = new WaitingRequests({ clock, wheel, limits, onThrottled });
    this.#idleSweep = new IdleSweep(clock, wheel, (nowMs) => this.#stopIdle(nowMs));
  }

  /** Instances by function, for lists and metrics. */
  *instances(): Iterable<I> {
    for (const pool of this.#pools.values()) yield* pool.instances.keys();
  }

  instancesOf(functionName: string): readonly I[] {
    const pools = this.#groups.get(functionName)?.pools ?? [];
    return [...pools].flatMap((pool) => [...pool.instances.keys()]);
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
    pool.group.rhythm.runnable = pool.runnable;
    if (pool.group.inFlight === 0) this.#rhythms.wake(pool.group.rhythm, pool.runnable);
    if (pool.sessions !== undefined && waiter.sessionId !== undefined) {
      this.#acquireInSession(pool, pool.sessions, waiter, waiter.sessionId);
      return;
    }
    const instance = pool.waiters.size === 0 && pool.group.mayRunMore ? pool.takeFree() : undefined;
    if (instance !== undefined) waiter.onSlot(instance);
    else if (this.#requests.add(pool, waiter)) this.#scale(pool);
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
    if (pool !== undefined) this.#requests.withdraw(pool, waiter);
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
      if (reserved === 0) {
        this.#requests.refuseAll(pool, () => this.#requests.refusedByReservation(functionName));
      }
    }
    this.#requests.serveGroup(group);
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
    this.#rhythms.forget(functionName);
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
    this.#rhythms.close();
    const stopped: Promise<void>[] = [];
    for (const pool of this.#pools.values()) {
      this.#requests.refuseAll(pool, shuttingDown);
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
      group = new FunctionGroup(functionName, this.#rhythms.of(functionName));
      this.#groups.set(functionName, group);
    }
    return group;
  }

  /** Starts an instance for the call that is expected, in memory that nobody else has. */
  #prewarm({ runnable, quietSinceMs }: Rhythm): void {
    const current =
      runnable === undefined || this.#deps.currentOf === undefined
        ? runnable
        : this.#deps.currentOf(runnable);
    if (this.#isClosed || current === undefined || quietSinceMs === undefined) return;
    // Whoever sets the time himself wants no other.
    if (current.idleMsMax !== undefined || this.#room.memoryMbLeft < current.memoryMb) return;
    const pool = this.#poolFor(current);
    if (pool.lasting === 0 && this.#room.for(pool) > 0 && pool.group.reserved !== 0) {
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
      } else if (this.#requests.add(pool, waiter)) {
        sessions.open(sessionId, nowMs);
        this.#scale(pool);
        this.#requests.awaitSessionRoom(pool);
      }
      return;
    }
    const { instance } = session;
    const isFree = instance?.hasFreeSlot() === true && pool.group.mayRunMore;
    if (instance !== undefined && isFree && !sessions.hasWaiting(instance)) {
      waiter.onSlot(instance);
    } else if (this.#requests.mayWait(pool, waiter)) {
      sessions.wait(session, waiter);
      this.#requests.watch(pool, waiter);
    }
  }

  #scale(pool: FunctionPool<I>): void {
    if (this.#isClosed) return;
    const nowMs = this.#deps.clock.monotonicMs();
    let counts = pool.counts(this.#room.for(pool), nowMs);
    while (instancesToStart(counts) > 0 && this.#room.memoryMbLeft >= pool.runnable.memoryMb) {
      this.#start(pool, nowMs);
      counts = pool.counts(this.#room.for(pool), nowMs);
    }
    const missing = instancesWanted(counts);
    if (missing === 0) {
      this.#wanting.delete(pool);
      return;
    }
    this.#wanting.add(pool);
    const isUrgent = wantedByWaiters(counts) > 0;
    if (isUrgent || this.#room.fitsProvisioned) this.#room.make(pool, missing);
  }

  #start(pool: FunctionPool<I>, nowMs: number): void {
    this.#room.take(pool);
    const instance = this.#deps.createInstance(pool.runnable, {
      onChange: (changed, from) => this.#onChange(pool, changed, from),
      onStartFailed: (failed, error) => this.#onStartFailed(pool, failed, error),
    });
    pool.addStarting(instance, { startedMs: nowMs, clock: this.#room.keepAliveClock, startFailed: false });
    void instance.start();
  }

  #onChange(pool: FunctionPool<I>, instance: I, from: InstanceState): void {
    const { state } = instance;
    const to = state.name;
    const standing = pool.instances.get(instance);
    const taken = inFlightOf(state) - inFlightOf(from);
    pool.group.inFlight += taken;
    if (taken < 0 && pool.group.inFlight === 0 && pool.group.waiting === 0) {
      this.#rhythms.rest(pool.group.functionName, pool.group.rhythm);
    }
    if (taken > 0) {
      pool.uses += 1;
      if (standing !== undefined) standing.clock = this.#room.keepAliveClock;
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
      this.#requests.serveSessions(pool, instance);
      this.#requests.serve(pool);
      this.#onIdle(pool, instance);
    }
    // Others may run more now that this one runs less.
    if (taken < 0 && pool.group.reserved !== undefined) this.#requests.serveGroup(pool.group);
  }

  #onLeaving(pool: FunctionPool<I>, instance: I, from: InstanceState): void {
    pool.countLeaving(instance, from);
    this.#room.countLeaving(pool, instance, from);
    if (from.name === 'draining' || pool.sessions === undefined) return;
    // Its sessions begin anew on other instances, those that wait for it first.
    for (const waiter of pool.sessions.release(instance)) {
      this.#requests.unwatch(waiter);
      this.acquire(pool.runnable, waiter);
    }
  }

  #onStopped(pool: FunctionPool<I>, instance: I): void {
    const standing = pool.instances.get(instance);
    pool.instances.delete(instance);
    this.#room.giveBack(pool);
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
    if (pool.isRetired || this.#isBeyondReserved(pool) || this.#room.isNeeded(pool, this.#wanting))
      instance.drain();
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
      this.#requests.refuse(pool, waiter, error);
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
