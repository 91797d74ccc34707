import type { Clock } from './clock.ts';

/**
 * One coarse timer for every wait of the platform. A timer per request would cost more than the rest of the request's
 * bookkeeping; here setting and clearing a deadline is a few pointer writes. A deadline fires at or up to two ticks
 * after its time, never before it.
 */
const TICK_MS = 10;
const BUCKETS = 1024;
/** So many deadlines that are not due are passed by in the search for the next one: looking further costs more than waking once in vain. */
const PASSED_BY_MAX = 128;

export interface Deadline {
  readonly atMs: number;
  readonly onExpire: () => void;
  /** Neighbours in the bucket; undefined ends the list. `isSet` tells a cleared or fired one apart. */
  previous: Deadline | undefined;
  next: Deadline | undefined;
  bucket: number;
  isSet: boolean;
}

export class DeadlineWheel {
  readonly #clock: Clock;
  readonly #buckets: (Deadline | undefined)[] = Array.from({ length: BUCKETS });
  #timer: NodeJS.Timeout | undefined;
  /** The tick that the timer is set for; infinite without one, so that a comparison tells whether it comes too late. */
  #wakeTick = Infinity;
  #isTicking = false;
  #lastTick: number;
  #pending = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#lastTick = Math.floor(clock.monotonicMs() / TICK_MS);
  }

  /** Calls back once, `delayMs` from now. Delays longer than a turn of the wheel stay in their bucket for several. */
  set(delayMs: number, onExpire: () => void): Deadline {
    const atMs = this.#clock.monotonicMs() + delayMs;
    const tick = Math.ceil(atMs / TICK_MS);
    const bucket = tick % BUCKETS;
    const head = this.#buckets[bucket];
    const deadline: Deadline = { atMs, onExpire, previous: undefined, next: head, bucket, isSet: true };
    if (head !== undefined) head.previous = deadline;
    this.#buckets[bucket] = deadline;
    this.#pending += 1;
    // Those of requests lie further ahead than a turn, or than the one before: the timer stays as it is.
    if (tick < this.#wakeTick && !this.#isTicking) this.#wakeAt(tick);
    return deadline;
  }

  clear(deadline: Deadline): void {
    if (!deadline.isSet) return;
    deadline.isSet = false;
    this.#pending -= 1;
    if (deadline.previous === undefined) this.#buckets[deadline.bucket] = deadline.next;
    else deadline.previous.next = deadline.next;
    if (deadline.next !== undefined) deadline.next.previous = deadline.previous;
    // One that is dead but not collected yet would keep its younger neighbour alive, that one the next, and so on: with
    // them all requests would grow old.
    deadline.previous = undefined;
    deadline.next = undefined;
  }

  /** Fires what is due. The timer calls this; tests with a manual clock do so themselves. */
  tick(): void {
    const nowMs = this.#clock.monotonicMs();
    const nowTick = Math.floor(nowMs / TICK_MS);
    const first = Math.max(this.#lastTick, nowTick - BUCKETS + 1);
    this.#isTicking = true;
    try {
      for (let tick = first; tick <= nowTick; tick += 1) this.#fire(tick % BUCKETS, nowMs);
    } finally {
      this.#lastTick = nowTick;
      this.#isTicking = false;
      // With nothing to wait for the process sleeps, and otherwise until the next one: an idle platform uses no CPU.
      if (this.#pending === 0) this.#rest();
      else this.#wakeAt(this.#nextTick(nowTick));
    }
  }

  close(): void {
    this.#rest();
  }

  #fire(bucket: number, nowMs: number): void {
    let deadline = this.#buckets[bucket];
    while (deadline !== undefined) {
      // A callback may clear the next one, so what follows is read after it only if it is still set.
      const next: Deadline | undefined = deadline.next;
      if (deadline.atMs <= nowMs) {
        this.clear(deadline);
        deadline.onExpire();
      }
      deadline = next?.isSet === false ? this.#buckets[bucket] : next;
    }
  }

  /** The first tick after this one that has something to fire; a turn from now where there is none in it. */
  #nextTick(nowTick: number): number {
    let passedBy = 0;
    // From this one on: a callback may have set a deadline that was due at once.
    for (let tick = nowTick; tick < nowTick + BUCKETS; tick += 1) {
      const dueMs = tick * TICK_MS;
      for (let each = this.#buckets[tick % BUCKETS]; each !== undefined; each = each.next) {
        passedBy += 1;
        if (each.atMs <= dueMs || passedBy > PASSED_BY_MAX) return Math.max(tick, nowTick + 1);
      }
    }
    return nowTick + BUCKETS;
  }

  #wakeAt(tick: number): void {
    clearTimeout(this.#timer);
    this.#wakeTick = tick;
    const delayMs = Math.max(1, Math.ceil(tick * TICK_MS - this.#clock.monotonicMs()));
    this.#timer = setTimeout(() => this.tick(), delayMs);
    this.#timer.unref();
  }

  #rest(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#wakeTick = Infinity;
  }
}
