import { statSync } from 'node:fs';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../../base/clock.ts';
import type { Blobs } from '../../store/blobs.ts';
import type { Queue, TrimBounds } from '../../store/queue.ts';

export interface RetentionLimits {
  readonly resultMsMax: number;
  readonly deadLetterMsMax: number;
  readonly settledMax: number;
  readonly settledBytesMax: number;
}

export const DEFAULT_RETENTION: RetentionLimits = {
  resultMsMax: 7 * 24 * 60 * 60 * 1000,
  deadLetterMsMax: 30 * 24 * 60 * 60 * 1000,
  settledMax: 500_000,
  settledBytesMax: 8 * 1024 * 1024 * 1024,
};

const LOOK_MS = 30_000;
/** A blob is put before its task names it: what nobody names is removed when it is this old. */
const BLOB_GRACE_MS = 10 * 60_000;

export interface RetentionDeps {
  readonly queue: Queue;
  readonly blobs: Blobs;
  readonly clock: Clock;
  readonly limits: RetentionLimits;
  readonly onFailed: (error: ThawError) => void;
}

/** Removes tasks that were settled long ago, and the blobs of payloads and results that no task names any more. */
export class Retention {
  readonly #deps: RetentionDeps;
  readonly #timer: NodeJS.Timeout;
  #underWay: Promise<void> | undefined;
  /** A crash may have left blobs; after that only a removed task does. */
  #mayHaveGarbage = true;
  #isClosed = false;

  constructor(deps: RetentionDeps) {
    this.#deps = deps;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#timer.unref();
    this.#look();
  }

  /** Something that may have had blobs was removed by another hand. */
  noteRemoval(): void {
    this.#mayHaveGarbage = true;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    await this.#underWay;
  }

  #look(): void {
    this.#underWay ??= this.#clear()
      .catch((error: unknown) => {
        if (!this.#isClosed)
          this.#deps.onFailed(ThawError.from(error, 'removing old asynchronous invocations'));
      })
      .finally(() => {
        this.#underWay = undefined;
      });
  }

  async #clear(): Promise<void> {
    const { queue, clock, limits } = this.#deps;
    const now = clock.now();
    const bounds: TrimBounds = {
      settledBefore: now - limits.resultMsMax,
      deadLettersBefore: now - limits.deadLetterMsMax,
      settledMax: limits.settledMax,
      settledBytesMax: limits.settledBytesMax,
    };
    for (;;) {
      const { removedBlobs, isMore } = await queue.trim(bounds);
      this.#mayHaveGarbage ||= removedBlobs;
      if (!isMore || this.#isClosed) break;
    }
    if (this.#mayHaveGarbage) this.#mayHaveGarbage = await this.#collect(now);
  }

  /** Whether some of it is too young to go. */
  async #collect(now: number): Promise<boolean> {
    const { queue, blobs } = this.#deps;
    const named = await queue.blobs();
    let isLeft = false;
    for (const digest of await blobs.list()) {
      const path = blobs.path(digest);
      if (named.has(digest) || path === undefined) continue;
      // No turn passes between the look at the age and the deletion, and a put renews the age.
      const found = statSync(path, { throwIfNoEntry: false });
      if (found === undefined) continue;
      if (now - found.mtimeMs > BLOB_GRACE_MS) await blobs.delete(digest);
      else isLeft = true;
    }
    return isLeft;
  }
}
