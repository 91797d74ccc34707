import type { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { TaskError } from '../model/async-task.ts';

/** Of each trigger, so many deliveries and so many failures are kept. */
export const DELIVERIES_KEPT_MAX = 20;
const MESSAGE_CHARACTERS_MAX = 500;

/** One event that a trigger handed to its function, or could not. */
export interface Delivery {
  /** Milliseconds since 1970. */
  readonly at: number;
  /**
   * `accepted`: it is on disk as an asynchronous invocation, whose own record tells the rest; where that fails for good,
   * it becomes `failed`.
   */
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
    this.#addFailure(delivery, error.code, error.functionError?.errorMessage ?? error.message);
  }

  /** What was accepted has failed for good since. */
  fail(taskId: string, at: number, { code, message }: TaskError): void {
    const accepted = this.#deliveries.findIndex((delivery) => delivery.taskId === taskId);
    const { eventBytes = 0, ms = 0 } = this.#deliveries[accepted] ?? {};
    if (accepted !== -1) this.#deliveries.splice(accepted, 1);
    this.#delivered = Math.max(0, this.#delivered - 1);
    this.#addFailure({ at, eventBytes, ms, outcome: 'failed', taskId }, code, message);
    this.#isSaved = false;
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

  #addFailure(delivery: Delivery, errorCode: string, message: string): void {
    this.#failed += 1;
    const failure = { ...delivery, errorCode, errorMessage: message.slice(0, MESSAGE_CHARACTERS_MAX) };
    keepLast(this.#deliveries, failure);
    keepLast(this.#failures, failure);
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
