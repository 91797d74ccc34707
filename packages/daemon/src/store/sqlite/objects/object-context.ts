import type { DatabaseSync } from 'node:sqlite';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../../../base/clock.ts';
import type { ObjectFiles } from '../../object-files.ts';
import type { ObjectInfo, ObjectName } from '../../objects.ts';
import { guarded, inTransaction, storeFailure } from '../sqlite-database.ts';
import { objectOf, type Piece, type StoredObject } from './object-rows.ts';

/** Changes that share one transaction; more wait for the next, which comes at once. */
const CHANGES_TOGETHER_MAX = 256;

/** What the parts of the store share: the database, the files, and how both change together. */
export class ObjectContext {
  readonly database: DatabaseSync;
  readonly files: ObjectFiles;
  readonly clock: Clock;
  /** Removed from the disk; their rows go with the next change. */
  readonly #removed: string[] = [];
  readonly #pending: PendingChange[] = [];

  constructor(
    database: DatabaseSync,
    clock: Clock,
    openFiles: (onRemoved: (id: string) => void) => ObjectFiles,
  ) {
    this.database = database;
    this.clock = clock;
    this.files = openFiles((fileId) => this.#removed.push(fileId));
  }

  read<T>(doing: string, work: () => T): T {
    return guarded(doing, work);
  }

  /**
   * One transaction that names `staged` and may doom other files. Afterwards the files have followed; when it throws,
   * nothing has changed and what was staged is gone.
   */
  change<T>(doing: string, staged: readonly string[], work: (change: ObjectTransaction) => T): T {
    let outcome: { readonly result: T } | { readonly error: unknown } | undefined;
    const resolve = (result: T): void => {
      outcome = { result };
    };
    this.#commit([pendingChange(doing, staged, work, resolve, (error) => (outcome = { error }))]);
    if (outcome === undefined) throw new Error('a change that was committed has an outcome');
    if ('error' in outcome) throw outcome.error;
    return outcome.result;
  }

  /** The same a moment later, together with all changes of that moment: they share one wait for the disk. */
  changeSoon<T>(
    doing: string,
    staged: readonly string[],
    work: (change: ObjectTransaction) => T,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#pending.push(pendingChange(doing, staged, work, resolve, reject));
      if (this.#pending.length === 1) setImmediate(() => this.#commitPending());
    });
  }

  #commitPending(): void {
    while (this.#pending.length > 0) this.#commit(this.#pending.splice(0, CHANGES_TOGETHER_MAX));
  }

  #commit(changes: readonly PendingChange[]): void {
    const { database, files } = this;
    try {
      inTransaction(database, () => {
        for (const fileId of this.#removed) this.#forget(fileId);
        for (const change of changes) this.#attempt(change);
      });
    } catch (error) {
      for (const change of changes) this.#giveUp(change, change.error ?? error);
      return;
    }
    this.#removed.length = 0;
    for (const change of changes) {
      if (change.settle === undefined) {
        this.#giveUp(change, change.error);
        continue;
      }
      try {
        for (const fileId of change.staged) files.publish(fileId);
      } catch (error) {
        // The database names it, so the next start gives the file its place.
        change.reject(storeFailure(change.doing, error));
        continue;
      }
      for (const fileId of change.doomed) files.remove(fileId);
      for (const tell of change.told) tell();
      change.settle();
    }
  }

  /** One change that fails leaves the others as they are. */
  #attempt(change: PendingChange): void {
    const { database } = this;
    database.exec('SAVEPOINT one');
    try {
      const insert = database.prepare('INSERT INTO files (file_id) VALUES (?)');
      for (const fileId of change.staged) insert.run(fileId);
      const doom = database.prepare('UPDATE files SET is_garbage = 1 WHERE file_id = ?');
      const transaction: ObjectTransaction = {
        doom: (pieces) => {
          for (const { fileId } of pieces) {
            doom.run(fileId);
            change.doomed.push(fileId);
          }
        },
        afterCommit: (tell) => change.told.push(tell),
      };
      change.settle = change.work(transaction);
    } catch (error) {
      change.error = error;
      // A full disk or a failed sync may have rolled back all.
      if (!database.isTransaction) throw error;
      database.exec('ROLLBACK TO one');
    }
    database.exec('RELEASE one');
  }

  #giveUp({ staged, doing, reject }: PendingChange, error: unknown): void {
    for (const fileId of staged) void this.files.discard(fileId).catch(() => undefined);
    reject(storeFailure(doing, error));
  }

  /** After a crash: what was named gets its place, what was doomed goes. */
  recover(): void {
    const isNamed = this.database.prepare('SELECT 1 FROM files WHERE file_id = ?');
    this.files.recover((fileId) => isNamed.get(fileId) !== undefined);
    const garbage = this.database.prepare('SELECT file_id FROM files WHERE is_garbage = 1').all();
    for (const row of garbage) this.files.remove(String(row['file_id']));
  }

  async close(): Promise<void> {
    this.#commitPending();
    await this.files.settled();
    if (!this.database.isOpen) return;
    if (this.#removed.length > 0) {
      inTransaction(this.database, () => {
        for (const fileId of this.#removed) this.#forget(fileId);
      });
    }
    this.database.close();
  }

  /** Throws BUCKET_NOT_FOUND. */
  requireBucket(bucket: string): void {
    const found = this.database.prepare('SELECT 1 FROM buckets WHERE name = ?').get(bucket);
    if (found === undefined) {
      throw new ThawError('BUCKET_NOT_FOUND', `bucket '${bucket}' does not exist`, { details: { bucket } });
    }
  }

  find({ bucket, key }: ObjectName): StoredObject | undefined {
    const row = this.database.prepare('SELECT * FROM objects WHERE bucket = ? AND key = ?').get(bucket, key);
    return row === undefined ? undefined : objectOf(row);
  }

  /** Puts the object in the place of what was there. */
  write(
    change: ObjectTransaction,
    info: ObjectInfo,
    pieces: readonly Piece[],
    uploadId: string | null,
  ): void {
    const before = this.find(info);
    if (before !== undefined) change.doom(before.pieces);
    this.database
      .prepare('INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?)')
      .run(
        info.bucket,
        info.key,
        info.size,
        info.etag,
        info.modifiedMs,
        JSON.stringify(info.attributes),
        JSON.stringify(pieces.map(({ fileId, size }) => [fileId, size])),
        uploadId,
      );
  }

  #forget(fileId: string): void {
    this.database.prepare('DELETE FROM files WHERE file_id = ? AND is_garbage = 1').run(fileId);
  }
}

export interface ObjectTransaction {
  /** Nothing names these any more. */
  readonly doom: (pieces: readonly Pick<Piece, 'fileId'>[]) => void;
  readonly afterCommit: (tell: () => void) => void;
}

interface PendingChange {
  readonly doing: string;
  readonly staged: readonly string[];
  /** Gives what tells the result to whoever waits. */
  readonly work: (change: ObjectTransaction) => () => void;
  readonly reject: (error: unknown) => void;
  readonly doomed: string[];
  readonly told: (() => void)[];
  settle: (() => void) | undefined;
  error: unknown;
}

function pendingChange<T>(
  doing: string,
  staged: readonly string[],
  work: (change: ObjectTransaction) => T,
  resolve: (result: T) => void,
  reject: (error: unknown) => void,
): PendingChange {
  const told = (transaction: ObjectTransaction): (() => void) => {
    const result = work(transaction);
    return () => resolve(result);
  };
  return { doing, staged, work: told, reject, doomed: [], told: [], settle: undefined, error: undefined };
}

/** Throws INVALID_ARGUMENT. */
export function requireKey(key: string): void {
  const bytes = Buffer.byteLength(key);
  if (bytes >= 1 && bytes <= LIMITS.objectKeyBytesMax && key.isWellFormed() && !key.includes('\0')) return;
  const s3Code = bytes > LIMITS.objectKeyBytesMax ? 'KeyTooLongError' : 'InvalidArgument';
  throw new ThawError(
    'INVALID_ARGUMENT',
    `an object's key has 1 to ${LIMITS.objectKeyBytesMax} bytes of UTF-8 and no NUL`,
    { details: { s3Code } },
  );
}
