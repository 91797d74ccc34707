import type { Clock } from './clock.ts';

/**
 * One coarse timer for every wait of the platform. A timer per request would cost more than the rest of the request's
 * bookkeeping; here setting and clearing a deadline is a few pointer writes. A deadline fires at or up to two ticks
 * after its time, never before it.
 */
const TICK_MS = 10;
const BUCKETS = 1024;

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
  #lastTick: number;
  #pending = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#lastTick = Math.floor(clock.monotonicMs() / TICK_MS);
  }

  /** Calls back once, `delayMs` from now. Delays longer than a turn of the wheel stay in their bucket for several. */
  set(delayMs: number, onExpire: () => void): Deadline {
    const atMs = this.#clock.monotonicMs() + delayMs;
    const bucket = Math.ceil(atMs / TICK_MS) % BUCKETS;
    const head = this.#buckets[bucket];
    const deadline: Deadline = { atMs, onExpire, previous: undefined, next: head, bucket, isSet: true };
    if (head !== undefined) head.previous = deadline;
    this.#buckets[bucket] = deadline;
    this.#pending += 1;
    this.#run();
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
    for (let tick = first; tick <= nowTick; tick += 1) this.#fire(tick % BUCKETS, nowMs);
    this.#lastTick = nowTick;
    if (this.#pending === 0) this.#rest();
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

  #run(): void {
    if (this.#timer !== undefined) return;
    this.#lastTick = Math.floor(this.#clock.monotonicMs() / TICK_MS);
    this.#timer = setInterval(() => this.tick(), TICK_MS);
    this.#timer.unref();
  }

  /** With nothing to wait for the process sleeps: an idle platform uses no CPU. */
  #rest(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
