import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { TriggerTarget } from '../trigger-source.ts';
import {
  batchesOf,
  halvesOf,
  mayBePoison,
  nextRound,
  retriesOf,
  retryPauseMs,
  type RoundLimits,
} from './delivery-policy.ts';
import { pause } from './pause.ts';
import type { QueuedChange } from './row-change.ts';

/** An event is closed when it holds so much; a larger change goes alone. */
const EVENT_BYTES_MAX = 4 * 1024 * 1024;
/** What may wait behind the round that is being delivered; whoever brings more is held up. */
const WAITING_BYTES_MAX = 8 * 1024 * 1024;

export interface DeliveryOptions<P> {
  readonly batchSize: number;
  readonly batchWindowMs: number;
  readonly maxRetries: number;
  readonly parallelism: number;
  readonly target: Pick<TriggerTarget, 'invoke' | 'submit'>;
  readonly eventOf: (changes: readonly QueuedChange<P>[]) => Buffer;
  /** An id for the asynchronous invocation that takes a change which the function cannot. */
  readonly taskIdOf: (change: QueuedChange<P>) => string;
  /** Everything up to here was taken: `changes` since the last call. What it throws is tried again. */
  readonly onReached: (position: P, changes: number) => void;
  readonly onProblem: (problem: ThawError | undefined) => void;
}

/**
 * Brings changes to a function: in order, in batches, each until the function has taken it. Positions are told when all
 * before them was taken. A round is as many batches as may run at once; the next begins when all of them are done.
 */
export class ChangeDelivery<P> {
  readonly #options: DeliveryOptions<P>;
  readonly #limits: RoundLimits;
  readonly #closing = new AbortController();
  readonly #running: Promise<void>;
  /** In order; the position behind a change is the last one that came after it. */
  #waiting: QueuedChange<P>[] = [];
  #waitingBytes = 0;
  /** A position that came after all waiting changes. */
  #mark: { readonly position: P } | undefined;
  #firstAtMs = 0;
  #wake: () => void = () => undefined;
  #room: (() => void)[] = [];

  constructor(options: DeliveryOptions<P>) {
    this.#options = options;
    const { batchSize, parallelism } = options;
    this.#limits = { batchSize, parallelism, bytesMax: EVENT_BYTES_MAX };
    this.#running = this.#run();
  }

  /** Resolves when there is room for another, or when this is closed. */
  async push(change: QueuedChange<P>): Promise<void> {
    if (this.#isClosed) return;
    if (this.#waiting.length === 0) this.#firstAtMs = performance.now();
    this.#waiting.push(change);
    this.#waitingBytes += change.bytes;
    this.#mark = undefined;
    this.#wake();
    while (this.#isFull && !this.#isClosed) {
      await new Promise<void>((resolve) => {
        this.#room.push(resolve);
      });
    }
  }

  /** This position is reached when everything that was pushed before is taken. */
  mark(position: P): void {
    if (this.#isClosed) return;
    this.#mark = { position };
    this.#wake();
  }

  /** Ends what runs, tells no position any more, and forgets what waits. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#wake();
    for (const resolve of this.#room.splice(0)) resolve();
    await this.#running;
  }

  get #isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  get #isFull(): boolean {
    const { batchSize, parallelism } = this.#limits;
    return this.#waiting.length >= batchSize * parallelism || this.#waitingBytes >= WAITING_BYTES_MAX;
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      if (this.#waiting.length > 0) await this.#deliverRound();
      else if (this.#mark !== undefined) await this.#reach(this.#takeMark(), 0);
      else await this.#untilWoken();
    }
  }

  #untilWoken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  async #deliverRound(): Promise<void> {
    await this.#untilFullOrDue();
    const { changes } = nextRound(this.#waiting, this.#limits);
    if (this.#isClosed || changes === 0) return;
    const round = this.#waiting.slice(0, changes);
    this.#waiting = this.#waiting.slice(changes);
    this.#waitingBytes = this.#waiting.reduce((sum, { bytes }) => sum + bytes, 0);
    this.#firstAtMs = performance.now();
    for (const resolve of this.#room.splice(0)) resolve();
    const lanes = batchesOf(round, this.#limits);
    const taken = await Promise.all(lanes.map((lane) => this.#deliverLane(lane)));
    const last = round.at(-1);
    if (last === undefined || taken.includes(false)) return;
    const position =
      this.#waiting.length === 0 && this.#mark !== undefined ? this.#takeMark() : last.position;
    await this.#reach(position, round.length);
  }

  async #untilFullOrDue(): Promise<void> {
    const dueMs = this.#firstAtMs + this.#options.batchWindowMs;
    for (;;) {
      const leftMs = dueMs - performance.now();
      if (this.#isClosed || leftMs <= 0 || nextRound(this.#waiting, this.#limits).isFull) return;
      const due = new AbortController();
      await Promise.race([this.#untilWoken(), pause(leftMs, due.signal)]);
      due.abort();
    }
  }

  #takeMark(): P {
    const mark = this.#mark;
    if (mark === undefined) throw new Error('there is no mark to take');
    this.#mark = undefined;
    return mark.position;
  }

  async #deliverLane(batches: readonly (readonly QueuedChange<P>[])[]): Promise<boolean> {
    for (const batch of batches) if (!(await this.#deliver(batch, false))) return false;
    return true;
  }

  /**
   * Until the function has taken the batch, or, of a change that it cannot take, the queue of asynchronous work has.
   * False where this was closed before.
   */
  async #deliver(batch: readonly QueuedChange<P>[], isPart: boolean): Promise<boolean> {
    const { target, eventOf, onProblem, maxRetries } = this.#options;
    const retriesMax = retriesOf(isPart, maxRetries);
    const event = eventOf(batch);
    let failures = 0;
    for (let tries = 1; !this.#isClosed; tries += 1) {
      const { error } = await target.invoke(event, this.#closing.signal);
      if (error === undefined) {
        onProblem(undefined);
        return true;
      }
      if (mayBePoison(error)) failures += 1;
      if (failures > retriesMax) break;
      onProblem(error);
      await pause(retryPauseMs(tries, Math.random()), this.#closing.signal);
    }
    if (this.#isClosed) return false;
    const [change] = batch;
    const halves = halvesOf(batch);
    if (halves === undefined) return change === undefined || this.#setAside(change, event);
    for (const half of halves) if (!(await this.#deliver(half, true))) return false;
    return true;
  }

  /**
   * The function fails on this change alone. It goes on as an asynchronous invocation, with the retries, destination and
   * dead letter that the function has for those, so that it is neither lost nor in the way.
   */
  #setAside(change: QueuedChange<P>, event: Buffer): Promise<boolean> {
    const { target, taskIdOf, onProblem } = this.#options;
    return this.#untilDone(async () => {
      await target.submit(event, { taskId: taskIdOf(change) });
      onProblem(undefined);
    }, 'setting a change aside that the function fails on');
  }

  async #reach(position: P, changes: number): Promise<void> {
    await this.#untilDone(
      () => this.#options.onReached(position, changes),
      'keeping how far a trigger has come',
    );
  }

  /** Once at least, however closed this is: what the function has taken is worth keeping. */
  async #untilDone(work: () => Promise<void> | void, doing: string): Promise<boolean> {
    for (let tries = 1; tries === 1 || !this.#isClosed; tries += 1) {
      try {
        await work();
        if (tries > 1) this.#options.onProblem(undefined);
        return true;
      } catch (error) {
        this.#options.onProblem(ThawError.from(error, doing));
        await pause(retryPauseMs(tries, Math.random()), this.#closing.signal);
      }
    }
    return false;
  }
}
