import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Deadline, DeadlineWheel } from '../../base/deadline-wheel.ts';
import type { AsyncTask } from '../../model/async-task.ts';
import type { Queue } from '../../store/queue.ts';
import type { OutcomeHandler } from './task-outcome.ts';

const AT_ONCE_MAX = 16;
const PAGE = 64;
const RETRY_MS = 2_000;

export interface HandOnDeps {
  readonly queue: Queue;
  readonly wheel: DeadlineWheel;
  readonly outcomes: () => OutcomeHandler;
  readonly onFailed: (error: ThawError) => void;
}

/**
 * Tells the outcome handler of every settled task that is marked for it, until it has taken it. The marks are on disk, so
 * a crash repeats at most what was under way.
 */
export class HandOn {
  readonly #deps: HandOnDeps;
  readonly #underWay = new Set<number>();
  #isScanning = false;
  #isDirty = false;
  #isStopped = false;
  #retry: Deadline | undefined;

  constructor(deps: HandOnDeps) {
    this.#deps = deps;
  }

  /** There is, or may be, something to hand on. */
  notify(): void {
    this.#isDirty = true;
    if (this.#isScanning || this.#isStopped) return;
    this.#isScanning = true;
    this.#scan().then(
      () => {
        this.#isScanning = false;
        // Something may have come between the last look and here.
        if (this.#isDirty) this.notify();
      },
      (error: unknown) => {
        this.#isScanning = false;
        this.#retryLater(ThawError.from(error, 'looking for outcomes to hand on'));
      },
    );
  }

  stop(): void {
    this.#isStopped = true;
    if (this.#retry !== undefined) this.#deps.wheel.clear(this.#retry);
  }

  async #scan(): Promise<void> {
    while (this.#isDirty && !this.#isStopped) {
      this.#isDirty = false;
      let afterSeq = 0;
      for (;;) {
        const page = await this.#deps.queue.toHandOn(afterSeq, PAGE);
        const fresh = page.filter(({ seq }) => !this.#underWay.has(seq)).values();
        const work = async (): Promise<void> => {
          for (const task of fresh) if (!this.#isStopped) await this.#tell(task);
        };
        await Promise.all(Array.from({ length: AT_ONCE_MAX }, work));
        const last = page.at(-1);
        if (last === undefined || page.length < PAGE) break;
        afterSeq = last.seq;
      }
    }
  }

  async #tell(task: AsyncTask): Promise<void> {
    this.#underWay.add(task.seq);
    try {
      const destinationStatus = await this.#deps.outcomes().onSettled(task);
      if (destinationStatus === undefined) this.#askLater();
      else await this.#deps.queue.handedOn(task.seq, destinationStatus);
    } catch (error) {
      this.#retryLater(ThawError.from(error, `handing on the outcome of task '${task.taskId}'`));
    } finally {
      this.#underWay.delete(task.seq);
    }
  }

  #retryLater(error: ThawError): void {
    if (!this.#isStopped) this.#deps.onFailed(error);
    this.#askLater();
  }

  #askLater(): void {
    if (this.#isStopped) return;
    this.#retry ??= this.#deps.wheel.set(RETRY_MS, () => {
      this.#retry = undefined;
      this.notify();
    });
  }
}
