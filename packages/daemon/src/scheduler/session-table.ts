import type { PooledInstance } from './pooled-instance.ts';
import type { Waiter } from './waiter.ts';

/** A session that is used the least makes room for a new one beyond this. */
export const SESSIONS_PER_FUNCTION_MAX = 10_000;

export interface SessionRules {
  /** Sessions that one instance holds at most. */
  readonly sessionsPerInstance: number;
  /** From the first request on; then the same id begins anew. */
  readonly ttlMs: number;
  /** Without a request. */
  readonly idleMs: number;
}

export interface Session<I extends PooledInstance> {
  readonly id: string;
  readonly openedMs: number;
  usedMs: number;
  /** Undefined while its first request waits in the function's queue for an instance. */
  instance: I | undefined;
  /** Requests that run. */
  running: number;
  /** Requests that wait for a slot of its instance, or for its first request to get one. */
  readonly waiters: Waiter<I>[];
}

/** Which session lives on which instance of one function version. Bookkeeping only: `Scheduler` decides. */
export class SessionTable<I extends PooledInstance> {
  readonly rules: SessionRules;
  /** The least recently used first. */
  readonly #sessions = new Map<string, Session<I>>();
  readonly #byInstance = new Map<I, Set<Session<I>>>();
  readonly #sessionsMax: number;
  #waiting = 0;

  constructor(rules: SessionRules, sessionsMax = SESSIONS_PER_FUNCTION_MAX) {
    this.rules = rules;
    this.#sessionsMax = sessionsMax;
  }

  get waiting(): number {
    return this.#waiting;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** The session with this id, used now; undefined when there is none or its time is over. */
  use(id: string, nowMs: number): Session<I> | undefined {
    const session = this.#sessions.get(id);
    if (session === undefined) return undefined;
    if (this.#isOver(session, nowMs)) {
      this.#forget(session);
      return undefined;
    }
    session.usedMs = nowMs;
    this.#sessions.delete(id);
    this.#sessions.set(id, session);
    return session;
  }

  open(id: string, nowMs: number): Session<I> {
    if (this.#sessions.size >= this.#sessionsMax) this.#forgetOne();
    const session: Session<I> = {
      id,
      openedMs: nowMs,
      usedMs: nowMs,
      instance: undefined,
      running: 0,
      waiters: [],
    };
    this.#sessions.set(id, session);
    return session;
  }

  bind(session: Session<I>, instance: I): void {
    session.instance = instance;
    const bound = this.#byInstance.get(instance);
    if (bound === undefined) this.#byInstance.set(instance, new Set([session]));
    else bound.add(session);
  }

  /** A request of the session begins to run on the instance, or has ended there. */
  countRunning(id: string, instance: I, change: 1 | -1, atMs: number): void {
    const session = this.#sessions.get(id);
    if (session?.instance !== instance) return;
    session.running += change;
    session.usedMs = atMs;
  }

  /** Whether a request of the session waits for one instance and no other. */
  isBound(id: string): boolean {
    return this.#sessions.get(id)?.instance !== undefined;
  }

  /** How many further sessions the instance can take. */
  room(instance: I, nowMs: number): number {
    const bound = this.#byInstance.get(instance);
    if (bound === undefined) return this.rules.sessionsPerInstance;
    if (bound.size >= this.rules.sessionsPerInstance) {
      for (const session of bound) if (this.#isOver(session, nowMs)) this.#forget(session);
    }
    return Math.max(0, this.rules.sessionsPerInstance - bound.size);
  }

  /** Whether a session may still come back to it. */
  holds(instance: I, nowMs: number): boolean {
    const bound = this.#byInstance.get(instance);
    if (bound === undefined) return false;
    for (const session of bound) if (!this.#isOver(session, nowMs)) return true;
    return false;
  }

  wait(session: Session<I>, waiter: Waiter<I>): void {
    session.waiters.push(waiter);
    this.#waiting += 1;
  }

  /** The waiter of one of the instance's sessions that is due next. */
  shiftWaiting(instance: I): Waiter<I> | undefined {
    const bound = this.#waiting === 0 ? undefined : this.#byInstance.get(instance);
    if (bound === undefined) return undefined;
    for (const session of bound) {
      const waiter = session.waiters.shift();
      if (waiter === undefined) continue;
      this.#waiting -= 1;
      // One session after the other: the last served one goes to the end.
      bound.delete(session);
      bound.add(session);
      return waiter;
    }
    return undefined;
  }

  hasWaiting(instance: I): boolean {
    if (this.#waiting === 0) return false;
    for (const session of this.#byInstance.get(instance) ?? []) if (session.waiters.length > 0) return true;
    return false;
  }

  remove(waiter: Waiter<I>): boolean {
    const session = waiter.sessionId === undefined ? undefined : this.#sessions.get(waiter.sessionId);
    const index = session?.waiters.indexOf(waiter) ?? -1;
    if (session === undefined || index === -1) return false;
    session.waiters.splice(index, 1);
    this.#waiting -= 1;
    return true;
  }

  /** The session's first request goes without an instance. Gives back the one that takes its place, if any waits. */
  promote(id: string): Waiter<I> | undefined {
    const session = this.#sessions.get(id);
    if (session === undefined || session.instance !== undefined) return undefined;
    const next = session.waiters.shift();
    if (next === undefined) this.#sessions.delete(id);
    else this.#waiting -= 1;
    return next;
  }

  /** The instance takes no more requests. Gives back who waited for it. */
  release(instance: I): Waiter<I>[] {
    const waiters: Waiter<I>[] = [];
    for (const session of this.#byInstance.get(instance) ?? []) {
      waiters.push(...session.waiters);
      this.#waiting -= session.waiters.length;
      session.waiters.length = 0;
      this.#forget(session);
    }
    return waiters;
  }

  takeAllWaiting(): Waiter<I>[] {
    const waiters = [...this.#sessions.values()].flatMap((session) => session.waiters.splice(0));
    this.#waiting = 0;
    return waiters;
  }

  /** One with requests that run or wait is in use. */
  #isOver({ openedMs, usedMs, running, waiters, instance }: Session<I>, nowMs: number): boolean {
    if (running > 0 || waiters.length > 0 || instance === undefined) return false;
    return nowMs - openedMs >= this.rules.ttlMs || nowMs - usedMs >= this.rules.idleMs;
  }

  #forgetOne(): void {
    for (const session of this.#sessions.values()) {
      if (session.running > 0 || session.waiters.length > 0 || session.instance === undefined) continue;
      this.#forget(session);
      return;
    }
  }

  #forget(session: Session<I>): void {
    if (this.#sessions.get(session.id) === session) this.#sessions.delete(session.id);
    const { instance } = session;
    if (instance === undefined) return;
    const bound = this.#byInstance.get(instance);
    bound?.delete(session);
    if (bound?.size === 0) this.#byInstance.delete(instance);
  }
}
