/** How often one outcome is offered, and how long after the invocation's end the last time is. */
export const DELIVERY_TRIES_MAX = 12;
export const DELIVERY_MS_MAX = 60 * 60_000;
const FIRST_MS = 1_000;
const DELAY_MS_MAX = 5 * 60_000;
/** Beyond it the oldest is forgotten, and tried again somewhat early. */
const KNOWN_MAX = 10_000;

interface Failures {
  readonly count: number;
  /** Monotonic. */
  readonly notBeforeMs: number;
}

/** When something that failed may be tried again: 1, 2, 4, ... seconds later. Kept in memory: a restart tries at once. */
export class DeliveryBackoff<K> {
  readonly #known = new Map<K, Failures>();

  isHeld(key: K, nowMs: number): boolean {
    const failures = this.#known.get(key);
    return failures !== undefined && nowMs < failures.notBeforeMs;
  }

  /** How often it has failed now. */
  failed(key: K, nowMs: number): number {
    const count = (this.#known.get(key)?.count ?? 0) + 1;
    this.#known.delete(key);
    const [oldest] = this.#known.keys();
    if (this.#known.size >= KNOWN_MAX && oldest !== undefined) this.#known.delete(oldest);
    this.#known.set(key, { count, notBeforeMs: nowMs + Math.min(DELAY_MS_MAX, FIRST_MS * 2 ** (count - 1)) });
    return count;
  }

  /** Holds it back for so long, so that one try goes ahead of the others. */
  hold(key: K, nowMs: number, ms: number): void {
    const failures = this.#known.get(key);
    if (failures !== undefined) this.#known.set(key, { ...failures, notBeforeMs: nowMs + ms });
  }

  forget(key: K): void {
    this.#known.delete(key);
  }
}
