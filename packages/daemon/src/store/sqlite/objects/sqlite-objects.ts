import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../../../base/clock.ts';
import { isBucketName } from '../../../model/bucket-name.ts';
import { ObjectFiles } from '../../object-files.ts';
import type {
  BucketInfo,
  ObjectAttributes,
  ObjectCause,
  ObjectInfo,
  ObjectName,
  ObjectPage,
  ObjectQuery,
  ObjectReader,
  Objects,
  ObjectTarget,
  StagedBytes,
} from '../../objects.ts';
import { openSqliteDatabase } from '../sqlite-database.ts';
import { listObjects } from './list-objects.ts';
import { ObjectContext, requireKey } from './object-context.ts';
import { OBJECT_MIGRATIONS } from './object-migrations.ts';
import type { Piece } from './object-rows.ts';
import { SqliteUploads } from './sqlite-uploads.ts';
import { SqliteWatches } from './sqlite-watches.ts';

/** `Objects` in `<directory>`: names in `objects.db`, bytes in files beside it. */
export class SqliteObjects implements Objects {
  readonly uploads: SqliteUploads;
  readonly watches: SqliteWatches;
  readonly #context: ObjectContext;

  /** Makes the directory when it is missing, and clears what a crash left. Throws STORE_FAILED. */
  constructor(directory: string, clock: Clock) {
    const database = openSqliteDatabase(join(directory, 'objects.db'), OBJECT_MIGRATIONS, 'full');
    try {
      this.#context = new ObjectContext(
        database,
        clock,
        (onRemoved) => new ObjectFiles(directory, onRemoved),
      );
      this.#context.read('clear what a crash left of objects', () => this.#context.recover());
    } catch (error) {
      database.close();
      throw error;
    }
    this.watches = new SqliteWatches(this.#context);
    this.uploads = new SqliteUploads(this.#context, this.watches);
  }

  createBucket(bucket: string): BucketInfo {
    if (!isBucketName(bucket)) {
      throw new ThawError(
        'INVALID_ARGUMENT',
        `'${bucket}' cannot be the name of a bucket: 3 to 63 lower-case letters, digits and hyphens, no hyphen at an end`,
        { details: { s3Code: 'InvalidBucketName' } },
      );
    }
    const { database, clock } = this.#context;
    const made = { name: bucket, createdMs: clock.now() };
    return this.#context.change(`create bucket '${bucket}'`, [], ({ afterCommit }) => {
      if (this.findBucket(bucket) !== undefined)
        throw new ThawError('BUCKET_EXISTS', `bucket '${bucket}' already exists`, { details: { bucket } });
      if (this.listBuckets().length >= LIMITS.bucketsMax)
        throw new ThawError(
          'LIMIT_EXCEEDED',
          `there are ${LIMITS.bucketsMax} buckets, which is the most there can be`,
          {
            details: { s3Code: 'TooManyBuckets' },
          },
        );
      database.prepare('INSERT INTO buckets VALUES (?, ?)').run(bucket, made.createdMs);
      afterCommit(() => this.watches.tellOfBucket(bucket));
      return made;
    });
  }

  findBucket(bucket: string): BucketInfo | undefined {
    return this.#context.read(`read bucket '${bucket}'`, () => {
      const row = this.#context.database.prepare('SELECT * FROM buckets WHERE name = ?').get(bucket);
      return row === undefined ? undefined : bucketOf(row);
    });
  }

  listBuckets(): readonly BucketInfo[] {
    return this.#context.read('list buckets', () =>
      this.#context.database.prepare('SELECT * FROM buckets ORDER BY name').all().map(bucketOf),
    );
  }

  deleteBucket(bucket: string): void {
    const { database } = this.#context;
    this.#context.change(`delete bucket '${bucket}'`, [], ({ afterCommit }) => {
      this.#context.requireBucket(bucket);
      for (const [table, what] of [
        ['objects', 'objects'],
        ['uploads', 'uploads that were not completed'],
      ]) {
        if (database.prepare(`SELECT 1 FROM ${table} WHERE bucket = ? LIMIT 1`).get(bucket) === undefined)
          continue;
        throw new ThawError('IN_USE', `bucket '${bucket}' is not empty: it holds ${what}`, {
          details: { bucket, s3Code: 'BucketNotEmpty' },
        });
      }
      database.prepare('DELETE FROM buckets WHERE name = ?').run(bucket);
      afterCommit(() => this.watches.tellOfBucket(bucket));
    });
  }

  stage(source: Readable | AsyncIterable<Uint8Array>, bytesMax: number): Promise<StagedBytes> {
    return this.#context.files.stage(source, bytesMax);
  }

  discard(staged: StagedBytes): Promise<void> {
    return this.#context.files.discard(staged.fileId);
  }

  put(target: ObjectTarget, staged: StagedBytes, attributes: ObjectAttributes): Promise<ObjectInfo> {
    const piece = { fileId: staged.fileId, size: staged.size };
    return this.#write(target, [piece], staged.md5, attributes);
  }

  async copy(
    source: ObjectName,
    target: ObjectTarget,
    attributes: ObjectAttributes | undefined,
    check?: (source: ObjectInfo) => void,
  ): Promise<ObjectInfo> {
    const { files } = this.#context;
    const original = this.#stored(source);
    if (original === undefined) {
      throw new ThawError('OBJECT_NOT_FOUND', `bucket '${source.bucket}' holds no object '${source.key}'`);
    }
    check?.(original.info);
    for (const { fileId } of original.pieces) files.hold(fileId);
    try {
      const copies = await files.stageCopies(original.pieces.map(({ fileId }) => fileId));
      const pieces = copies.map((fileId, at) => ({ fileId, size: original.pieces[at]?.size ?? 0 }));
      return await this.#write(target, pieces, original.info.etag, attributes ?? original.info.attributes);
    } finally {
      for (const { fileId } of original.pieces) files.release(fileId);
    }
  }

  find(name: ObjectName): ObjectInfo | undefined {
    return this.#stored(name)?.info;
  }

  open(name: ObjectName): ObjectReader | undefined {
    const { files } = this.#context;
    const stored = this.#stored(name);
    if (stored === undefined) return undefined;
    const { info, pieces } = stored;
    for (const { fileId } of pieces) files.hold(fileId);
    let isOpen = true;
    return {
      info,
      bytes: (start, end) => readPieces(files, pieces, start, end),
      close: () => {
        if (isOpen) for (const { fileId } of pieces) files.release(fileId);
        isOpen = false;
      },
    };
  }

  delete(bucket: string, keys: readonly string[], cause: ObjectCause): Promise<readonly boolean[]> {
    return this.#context.changeSoon(`delete from bucket '${bucket}'`, [], (change) => {
      for (const key of keys) requireKey(key);
      this.#context.requireBucket(bucket);
      const remove = this.#context.database.prepare('DELETE FROM objects WHERE bucket = ? AND key = ?');
      return keys.map((key) => {
        const stored = this.#context.find({ bucket, key });
        if (stored === undefined) return false;
        remove.run(bucket, key);
        change.doom(stored.pieces);
        this.watches.record(change, 'ObjectRemoved', { ...stored.info, size: 0 }, -stored.info.size, cause);
        return true;
      });
    });
  }

  list(bucket: string, query: ObjectQuery): ObjectPage {
    return this.#context.read(`list bucket '${bucket}'`, () => {
      this.#context.requireBucket(bucket);
      return listObjects(this.#context.database, bucket, query);
    });
  }

  /** Waits until what is being removed is removed. */
  close(): Promise<void> {
    return this.#context.close();
  }

  #stored(name: ObjectName): ReturnType<ObjectContext['find']> {
    requireKey(name.key);
    return this.#context.read(`read an object of bucket '${name.bucket}'`, () => {
      this.#context.requireBucket(name.bucket);
      return this.#context.find(name);
    });
  }

  #write(
    { bucket, key, cause, check }: ObjectTarget,
    pieces: readonly Piece[],
    etag: string,
    attributes: ObjectAttributes,
  ): Promise<ObjectInfo> {
    const staged = pieces.map(({ fileId }) => fileId);
    return this.#context.changeSoon(`put an object into bucket '${bucket}'`, staged, (change) => {
      requireKey(key);
      this.#context.requireBucket(bucket);
      const before = this.#context.find({ bucket, key })?.info;
      check?.(before);
      const size = pieces.reduce((sum, piece) => sum + piece.size, 0);
      const modifiedMs = this.#context.clock.now();
      const info: ObjectInfo = { bucket, key, size, etag, modifiedMs, attributes, parts: pieces.length };
      this.#context.write(change, info, pieces, null);
      this.watches.record(change, 'ObjectCreated', info, size - (before?.size ?? 0), cause);
      return info;
    });
  }
}

async function* readPieces(
  files: ObjectFiles,
  pieces: readonly Piece[],
  start: number,
  end: number,
): AsyncGenerator<Buffer> {
  let offset = 0;
  for (const { fileId, size } of pieces) {
    const from = Math.max(start - offset, 0);
    const to = Math.min(end - offset, size);
    if (from < to) yield* files.read(fileId, from, to);
    offset += size;
    if (offset >= end) return;
  }
}

function bucketOf(row: Readonly<Record<string, unknown>>): BucketInfo {
  return { name: String(row['name']), createdMs: Number(row['created_ms']) };
}
