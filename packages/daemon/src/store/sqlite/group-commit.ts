import type { DatabaseSync } from 'node:sqlite';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { storeFailure } from './sqlite-database.ts';

/** Longer transactions would keep the process from everything else. */
const CALLS_PER_COMMIT_MAX = 500;

interface Call {
  /** Runs inside the transaction; answers what to do when it is on disk. */
  readonly work: () => () => void;
  readonly reject: (error: ThawError) => void;
}

/**
 * Lets the writes of one turn share one transaction, so that they share one wait for the disk. A call that throws is
 * undone alone. A promise resolves when its writes are on disk.
 */
export class GroupCommit {
  readonly #database: DatabaseSync;
  /**
   * Told when writes were undone that nobody foresaw: what their calls left in memory is not what is stored. A call
   * that throws a ThawError has left nothing there.
   */
  readonly #onUndone: () => void;
  #waiting: Call[] = [];
  #isScheduled = false;
  #isUndone = false;
  #isClosed = false;

  constructor(database: DatabaseSync, onUndone: () => void) {
    this.#database = database;
    this.#onUndone = onUndone;
  }

  /** Rejects with what `work` throws, STORE_FAILED where that is no ThawError, or SHUTTING_DOWN. */
  run<T>(doing: string, work: () => T): Promise<T> {
    if (this.#isClosed) {
      return Promise.reject(new ThawError('SHUTTING_DOWN', `could not ${doing}: the store is closed`));
    }
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({
        work: () => {
          try {
            this.#database.exec('SAVEPOINT one_call');
            const value = work();
            this.#database.exec('RELEASE one_call');
            return () => resolve(value);
          } catch (thrown) {
            // A full disk may have ended the whole transaction already; then the commit fails, and so does every call.
            if (this.#database.isTransaction) this.#database.exec('ROLLBACK TO one_call; RELEASE one_call');
            if (!(thrown instanceof ThawError)) this.#isUndone = true;
            const error = storeFailure(doing, thrown);
            return () => reject(error);
          }
        },
        reject,
      });
      this.#schedule();
    });
  }

  /** Ends what was asked for; what is asked later rejects. */
  close(): void {
    while (this.#waiting.length > 0) this.#commit();
    this.#isClosed = true;
  }

  #schedule(): void {
    if (this.#isScheduled || this.#waiting.length === 0) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#commit();
      this.#schedule();
    });
  }

  #commit(): void {
    const calls = this.#waiting.splice(0, CALLS_PER_COMMIT_MAX);
    if (calls.length === 0) return;
    let settlements: readonly (() => void)[];
    try {
      this.#database.exec('BEGIN IMMEDIATE');
      settlements = calls.map((call) => call.work());
      this.#database.exec('COMMIT');
    } catch (thrown) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      const error = storeFailure('write to the disk', thrown);
      this.#onUndone();
      for (const call of calls) call.reject(error);
      return;
    }
    if (this.#isUndone) this.#onUndone();
    this.#isUndone = false;
    for (const settle of settlements) settle();
  }
}
