import type { Urgency } from './chunk-tier.ts';

/** Fetches that run at once; prefetching takes half of them at most, so that a demanded chunk never waits for it. */
const SLOTS_MAX = 32;
export const PREFETCH_SLOTS_MAX = 16;

/** Who may fetch now: what is demanded goes first, whatever has waited longer. */
export class FetchSlots {
  readonly #waiting: Record<Urgency, (() => void)[]> = { demand: [], prefetch: [] };
  #running = 0;
  #prefetching = 0;

  /** Gives what must be called when the work is done. */
  async acquire(urgency: Urgency): Promise<() => void> {
    if (!this.#isFree(urgency)) {
      await new Promise<void>((resolve) => {
        this.#waiting[urgency].push(resolve);
      });
    } else {
      this.#take(urgency);
    }
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      this.#running -= 1;
      if (urgency === 'prefetch') this.#prefetching -= 1;
      this.#next();
    };
  }

  #isFree(urgency: Urgency): boolean {
    if (this.#running >= SLOTS_MAX) return false;
    return (
      urgency === 'demand' || (this.#prefetching < PREFETCH_SLOTS_MAX && this.#waiting.demand.length === 0)
    );
  }

  #take(urgency: Urgency): void {
    this.#running += 1;
    if (urgency === 'prefetch') this.#prefetching += 1;
  }

  /** The slot is taken for whoever is woken, before anybody else can ask. */
  #next(): void {
    for (const urgency of ['demand', 'prefetch'] as const) {
      while (this.#waiting[urgency].length > 0 && this.#isFree(urgency)) {
        this.#take(urgency);
        this.#waiting[urgency].shift()?.();
      }
    }
  }
}
