import assert from 'node:assert/strict';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../base/clock.ts';
import type { DeadlineWheel } from '../base/deadline-wheel.ts';
import type { FunctionGroup } from './function-group.ts';
import type { FunctionPool } from './function-pool.ts';
import type { PooledInstance } from './pooled-instance.ts';
import type { SchedulerLimits } from './scheduler-limits.ts';
import type { Waiter } from './waiter.ts';

/** How often a request that wants to begin a session looks whether another one is over. */
const SESSION_ROOM_LOOK_MS = 500;
const RETRY_AFTER_S = 1;

export interface WaitingRequestsDeps {
  readonly clock: Clock;
  readonly wheel: DeadlineWheel;
  readonly limits: Pick<SchedulerLimits, 'waitersPerFunctionMax' | 'waitMsMax'>;
  /** A request was refused because of a limit. */
  readonly onThrottled?: ((functionName: string) => void) | undefined;
}

/**
 * How requests wait for a slot: how many may, for how long, who gets the next one, and what those are told who get none.
 * That there is something to get is the scheduler's affair.
 */
export class WaitingRequests<I extends PooledInstance> {
  readonly #deps: WaitingRequestsDeps;

  constructor(deps: WaitingRequestsDeps) {
    this.#deps = deps;
  }

  /** For any instance of the pool. False when it was refused. */
  add(pool: FunctionPool<I>, waiter: Waiter<I>): boolean {
    if (!this.mayWait(pool, waiter)) return false;
    assert(pool.waiters.push(waiter), 'the queue of a version takes as many as the function may have');
    this.watch(pool, waiter);
    return true;
  }

  /** False when it was refused. */
  mayWait(pool: FunctionPool<I>, waiter: Waiter<I>): boolean {
    const { functionName, reserved, waiting } = pool.group;
    if (reserved === 0) {
      waiter.onRefused(this.refusedByReservation(functionName));
      return false;
    }
    if (waiting < this.#deps.limits.waitersPerFunctionMax) return true;
    waiter.onRefused(this.#throttled('QUEUE_FULL', functionName, `${waiting} requests already wait for it`));
    return false;
  }

  /** It waits from now on, and is refused after a while. */
  watch(pool: FunctionPool<I>, waiter: Waiter<I>): void {
    const { waitMsMax } = this.#deps.limits;
    waiter.deadline = this.#deps.wheel.set(waitMsMax, () => {
      // A start under way has deadlines of its own and ends with an answer for its waiters.
      const isBound = waiter.sessionId !== undefined && pool.sessions?.isBound(waiter.sessionId) === true;
      if (pool.hasStarting && !isBound) {
        this.watch(pool, waiter);
      } else if (this.#dequeue(pool, waiter)) {
        const waited = `no slot came free in ${waitMsMax / 1000} seconds`;
        waiter.onRefused(this.#throttled('THROTTLED', pool.group.functionName, waited));
      }
    });
  }

  /** It waits no more. */
  unwatch(waiter: Waiter<I>): void {
    if (waiter.deadline !== undefined) this.#deps.wheel.clear(waiter.deadline);
    waiter.deadline = undefined;
  }

  /** The caller is gone before it got a slot. */
  withdraw(pool: FunctionPool<I>, waiter: Waiter<I>): void {
    if (this.#dequeue(pool, waiter)) this.unwatch(waiter);
  }

  /** It has left the pool's queue. */
  refuse(pool: FunctionPool<I>, waiter: Waiter<I>, error: ThawError): void {
    this.unwatch(waiter);
    this.#promote(pool, waiter);
    waiter.onRefused(error);
  }

  /** Gives its free slots to requests of its own sessions. */
  serveSessions(pool: FunctionPool<I>, instance: I): void {
    const { sessions, group } = pool;
    if (sessions === undefined) return;
    while (group.mayRunMore && instance.hasFreeSlot()) {
      const waiter = sessions.shiftWaiting(instance);
      if (waiter === undefined) return;
      this.unwatch(waiter);
      waiter.onSlot(instance);
    }
  }

  /** Gives the pool's free slots to requests that belong to no instance. */
  serve(pool: FunctionPool<I>): void {
    const { sessions, group, waiters } = pool;
    while (waiters.size > 0 && group.mayRunMore) {
      const nowMs = sessions === undefined ? 0 : this.#deps.clock.monotonicMs();
      const instance = sessions === undefined ? pool.takeFree() : pool.takeFreeForSession(sessions, nowMs);
      const waiter = instance === undefined ? undefined : waiters.shift();
      if (instance === undefined || waiter === undefined) return;
      this.unwatch(waiter);
      const session = waiter.sessionId === undefined ? undefined : sessions?.use(waiter.sessionId, nowMs);
      if (session !== undefined) sessions?.bind(session, instance);
      waiter.onSlot(instance);
      if (session !== undefined) this.serveSessions(pool, instance);
    }
  }

  /** More of the function's requests may run now. */
  serveGroup(group: FunctionGroup<I>): void {
    for (const pool of group.pools) {
      if (pool.waiting === 0) continue;
      if (pool.sessions !== undefined) {
        for (const instance of pool.instances.keys()) this.serveSessions(pool, instance);
      }
      this.serve(pool);
    }
  }

  /** A session's time passes without any event: while a new one waits, the pool looks whether there is room by now. */
  awaitSessionRoom(pool: FunctionPool<I>): void {
    if (pool.awaitsSessionRoom || pool.waiters.size === 0) return;
    pool.awaitsSessionRoom = true;
    this.#deps.wheel.set(SESSION_ROOM_LOOK_MS, () => {
      pool.awaitsSessionRoom = false;
      this.serve(pool);
      this.awaitSessionRoom(pool);
    });
  }

  refuseAll(pool: FunctionPool<I>, error: () => ThawError): void {
    for (const waiter of pool.sessions?.takeAllWaiting() ?? []) {
      this.unwatch(waiter);
      waiter.onRefused(error());
    }
    for (let waiter = pool.waiters.shift(); waiter !== undefined; waiter = pool.waiters.shift()) {
      this.refuse(pool, waiter, error());
    }
  }

  refusedByReservation(functionName: string): ThawError {
    return this.#throttled('THROTTLED', functionName, 'its reserved concurrency is 0');
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

  #throttled(code: 'QUEUE_FULL' | 'THROTTLED', functionName: string, why: string): ThawError {
    this.#deps.onThrottled?.(functionName);
    return new ThawError(code, `function '${functionName}' is busy: ${why}`, {
      details: { function: functionName },
      retryAfterS: RETRY_AFTER_S,
    });
  }
}
