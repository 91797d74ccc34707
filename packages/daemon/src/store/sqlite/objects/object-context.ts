import type { DatabaseSync } from 'node:sqlite';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../../../base/clock.ts';
import type { ObjectFiles } from '../../object-files.ts';
import type { ObjectInfo, ObjectName } from '../../objects.ts';
import { inTransaction, storeFailure } from '../sqlite-database.ts';
import { objectOf, type Piece, type StoredObject } from './object-rows.ts';

/** What the parts of the store share: the database, the files, and how both change together. */
export class ObjectContext {
  readonly database: DatabaseSync;
  readonly files: ObjectFiles;
  readonly clock: Clock;
  /** Removed from the disk; their rows go with the next change. */
  readonly #removed: string[] = [];
  readonly #afterCommit: (() => void)[] = [];

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
    try {
      return work();
    } catch (error) {
      throw storeFailure(doing, error);
    }
  }

  /**
   * One transaction that names `staged` and may doom other files. Afterwards the files have followed; when it throws,
   * nothing has changed and what was staged is gone.
   */
  change<T>(doing: string, staged: readonly string[], work: (change: ObjectTransaction) => T): T {
    const { database, files } = this;
    const doomed: string[] = [];
    let result: T;
    try {
      result = inTransaction(database, () => {
        for (const fileId of this.#removed) this.#forget(fileId);
        const insert = database.prepare('INSERT INTO files (file_id) VALUES (?)');
        for (const fileId of staged) insert.run(fileId);
        const doom = database.prepare('UPDATE files SET is_garbage = 1 WHERE file_id = ?');
        return work({
          doom: (pieces) => {
            for (const { fileId } of pieces) {
              doom.run(fileId);
              doomed.push(fileId);
            }
          },
          afterCommit: (tell) => this.#afterCommit.push(tell),
        });
      });
    } catch (error) {
      this.#afterCommit.length = 0;
      for (const fileId of staged) void files.discard(fileId).catch(() => undefined);
      throw storeFailure(doing, error);
    }
    this.#removed.length = 0;
    for (const fileId of staged) files.publish(fileId);
    for (const fileId of doomed) files.remove(fileId);
    for (const tell of this.#afterCommit.splice(0)) tell();
    return result;
  }

  /** After a crash: what was named gets its place, what was doomed goes. */
  recover(): void {
    const isNamed = this.database.prepare('SELECT 1 FROM files WHERE file_id = ?');
    this.files.recover((fileId) => isNamed.get(fileId) !== undefined);
    const garbage = this.database.prepare('SELECT file_id FROM files WHERE is_garbage = 1').all();
    for (const row of garbage) this.files.remove(String(row['file_id']));
  }

  async close(): Promise<void> {
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
