import type { DeadlineWheel } from '../base/deadline-wheel.ts';
import type { PlatformLog } from '../base/platform-log.ts';
import { mbMicroseconds, sharesByDay, type BilledInterval } from '../model/usage.ts';
import type { UsageEntry, UsageLog } from './usage-log.ts';

const FLUSH_MS = 500;
/** Rows that wait for the store; there is one for each instance that worked since the last batch. */
const ENTRIES_MAX = 10_000;

/** An entry that still grows. */
type Pending = { -readonly [Field in keyof UsageEntry]: UsageEntry[Field] };

/**
 * Adds up what instances report and writes it in batches. A batch that cannot be written is kept and written with the
 * next one: usage is not lost to a disk that was full for a while.
 */
export class UsageRecorder {
  readonly #log: UsageLog;
  readonly #wheel: DeadlineWheel;
  readonly #report: PlatformLog;
  #pending = new Map<string, Pending>();
  #isScheduled = false;

  constructor(log: UsageLog, wheel: DeadlineWheel, report: PlatformLog) {
    this.#log = log;
    this.#wheel = wheel;
    this.#report = report;
  }

  add(interval: BilledInterval): void {
    const { functionName, versionId, instanceId, memoryMb } = interval;
    for (const { day, billedUs, requests } of sharesByDay(interval)) {
      const key = `${day} ${instanceId}`;
      const known = this.#pending.get(key);
      if (known !== undefined) {
        known.requests += requests;
        known.billedUs += billedUs;
        known.mbUs += mbMicroseconds(billedUs, memoryMb);
      } else if (this.#pending.size >= ENTRIES_MAX) {
        this.#report('error', `what instance ${instanceId} used is lost: too much waits for the store`);
      } else {
        const mbUs = mbMicroseconds(billedUs, memoryMb);
        this.#pending.set(key, {
          day,
          functionName,
          versionId,
          instanceId,
          memoryMb,
          requests,
          billedUs,
          mbUs,
        });
      }
    }
    this.#schedule();
  }

  flush(): void {
    if (this.#pending.size === 0) return;
    try {
      this.#log.add([...this.#pending.values()]);
      this.#pending = new Map();
    } catch (error) {
      this.#report('error', 'what functions used could not be written yet', error);
      this.#schedule();
    }
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#wheel.set(FLUSH_MS, () => {
      this.#isScheduled = false;
      this.flush();
    });
  }
}
