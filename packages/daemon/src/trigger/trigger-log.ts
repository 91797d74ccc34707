import type { ThawError } from '@thaw/protocol/thaw-error.ts';

/** Of each trigger, so many deliveries and so many failures are kept. */
export const DELIVERIES_KEPT_MAX = 20;
const MESSAGE_CHARACTERS_MAX = 500;

/** One event that a trigger handed to its function, or could not. */
export interface Delivery {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** `accepted`: it is on disk as an asynchronous invocation, whose own record tells the rest. */
  readonly outcome: 'accepted' | 'succeeded' | 'failed';
  readonly eventBytes: number;
  /** How long it took until the outcome was known. */
  readonly ms: number;
  readonly taskId?: string;
  readonly requestId?: string;
  readonly errorCode?: string;
  readonly errorMessage?: string;
}

/** How a log is kept between two runs of the platform. */
export interface StoredTriggerLog {
  readonly delivered: number;
  readonly failed: number;
  readonly deliveries: readonly Delivery[];
  readonly failures: readonly Delivery[];
}

/** What came of the last events of one trigger. Failures are kept apart: many successes must not push them out. */
export class TriggerLog {
  #delivered: number;
  #failed: number;
  readonly #deliveries: Delivery[];
  readonly #failures: Delivery[];
  #isSaved = true;

  constructor(stored: StoredTriggerLog | undefined) {
    this.#delivered = stored?.delivered ?? 0;
    this.#failed = stored?.failed ?? 0;
    this.#deliveries = [...(stored?.deliveries ?? [])];
    this.#failures = [...(stored?.failures ?? [])];
  }

  add(delivery: Omit<Delivery, 'errorCode' | 'errorMessage'>, error: ThawError | undefined): void {
    this.#isSaved = false;
    if (error === undefined) {
      this.#delivered += 1;
      keepLast(this.#deliveries, delivery);
      return;
    }
    this.#failed += 1;
    const errorMessage = (error.functionError?.errorMessage ?? error.message).slice(
      0,
      MESSAGE_CHARACTERS_MAX,
    );
    const failure = { ...delivery, errorCode: error.code, errorMessage };
    keepLast(this.#deliveries, failure);
    keepLast(this.#failures, failure);
  }

  /** Newest first. */
  get deliveries(): readonly Delivery[] {
    return this.#deliveries.toReversed();
  }

  /** Newest first. */
  get failures(): readonly Delivery[] {
    return this.#failures.toReversed();
  }

  get delivered(): number {
    return this.#delivered;
  }

  get failed(): number {
    return this.#failed;
  }

  /** What is to be stored, or undefined where nothing has changed since it was asked for last. */
  takeUnsaved(): StoredTriggerLog | undefined {
    if (this.#isSaved) return undefined;
    this.#isSaved = true;
    return {
      delivered: this.#delivered,
      failed: this.#failed,
      deliveries: this.#deliveries,
      failures: this.#failures,
    };
  }
}

function keepLast(list: Delivery[], delivery: Delivery): void {
  list.push(delivery);
  if (list.length > DELIVERIES_KEPT_MAX) list.shift();
}
