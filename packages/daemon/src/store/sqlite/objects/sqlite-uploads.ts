import { createHash, randomBytes } from 'node:crypto';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type {
  NamedPart,
  ObjectAttributes,
  ObjectChecksum,
  ObjectInfo,
  ObjectName,
  ObjectTarget,
  ObjectUploads,
  Page,
  PartInfo,
  StagedBytes,
  UploadInfo,
  UploadName,
  UploadQuery,
} from '../../objects.ts';
import { requireKey, type ObjectContext } from './object-context.ts';
import { partOf, uploadOf, type StoredPart } from './object-rows.ts';
import { afterPrefix } from './key-order.ts';
import type { SqliteWatches } from './sqlite-watches.ts';

/** Objects that arrive in parts. Each part is a file; the finished object is the list of them, so nothing is copied. */
export class SqliteUploads implements ObjectUploads {
  readonly #context: ObjectContext;
  readonly #watches: SqliteWatches;

  constructor(context: ObjectContext, watches: SqliteWatches) {
    this.#context = context;
    this.#watches = watches;
  }

  create({ bucket, key }: ObjectName, attributes: ObjectAttributes): UploadInfo {
    requireKey(key);
    const { database, clock } = this.#context;
    const upload = {
      bucket,
      key,
      uploadId: randomBytes(18).toString('base64url'),
      createdMs: clock.now(),
      attributes,
    };
    return this.#context.change(`begin an upload to bucket '${bucket}'`, [], () => {
      this.#context.requireBucket(bucket);
      const count = database.prepare('SELECT COUNT(*) AS n FROM uploads WHERE bucket = ?').get(bucket);
      if (Number(count?.['n']) >= LIMITS.uploadsPerBucketMax) {
        throw new ThawError(
          'LIMIT_EXCEEDED',
          `bucket '${bucket}' has ${LIMITS.uploadsPerBucketMax} uploads that were not completed; abort some first`,
        );
      }
      database
        .prepare('INSERT INTO uploads VALUES (?, ?, ?, ?, ?)')
        .run(bucket, key, upload.uploadId, upload.createdMs, JSON.stringify(attributes));
      return upload;
    });
  }

  find(upload: UploadName): UploadInfo {
    return this.#context.read('read an upload', () => this.#require(upload));
  }

  putPart(
    upload: UploadName,
    number: number,
    staged: StagedBytes,
    checksum: ObjectChecksum | undefined,
  ): Promise<PartInfo> {
    const { database, clock } = this.#context;
    const part = { number, size: staged.size, etag: staged.md5, modifiedMs: clock.now(), checksum };
    return this.#context.changeSoon(
      `put a part into bucket '${upload.bucket}'`,
      [staged.fileId],
      (change) => {
        requirePartNumber(number);
        this.#require(upload);
        const before = database
          .prepare('SELECT * FROM parts WHERE upload_id = ? AND number = ?')
          .get(upload.uploadId, number);
        if (before !== undefined) change.doom([partOf(before)]);
        const stored = checksum === undefined ? null : JSON.stringify(checksum);
        database
          .prepare('INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?, ?)')
          .run(upload.uploadId, number, staged.fileId, part.size, part.etag, part.modifiedMs, stored);
        return part;
      },
    );
  }

  complete(upload: UploadName, parts: readonly NamedPart[], target: ObjectTarget): Promise<ObjectInfo> {
    const { bucket, key, uploadId } = upload;
    const { clock } = this.#context;
    return this.#context.changeSoon(`complete an upload to bucket '${bucket}'`, [], (change) => {
      this.#context.requireBucket(bucket);
      const before = this.#context.find(upload);
      // Asked again by a client that missed the answer.
      if (before?.uploadId === uploadId) return before.info;
      const { attributes } = this.#require(upload);
      target.check?.(before?.info);
      const stored = this.#parts(uploadId);
      const chosen = chosenParts(parts, stored);
      const kept = new Set(chosen.map(({ fileId }) => fileId));
      change.doom(stored.filter(({ fileId }) => !kept.has(fileId)));
      const size = chosen.reduce((sum, part) => sum + part.size, 0);
      if (size > LIMITS.objectBytesMax) {
        throw refused('EntityTooLarge', `the object would be larger than ${LIMITS.objectBytesMax} bytes`);
      }
      const modifiedMs = clock.now();
      const etag = etagOf(chosen);
      const info: ObjectInfo = { bucket, key, size, etag, modifiedMs, attributes, parts: chosen.length };
      this.#context.write(change, info, chosen, uploadId);
      this.#remove(upload);
      this.#watches.record(change, 'ObjectCreated', info, size - (before?.info.size ?? 0), target.cause);
      return info;
    });
  }

  abort(upload: UploadName): void {
    this.#context.change(`abort an upload to bucket '${upload.bucket}'`, [], (change) => {
      this.#require(upload);
      change.doom(this.#parts(upload.uploadId));
      this.#remove(upload);
    });
  }

  listParts(upload: UploadName, afterNumber: number, limit: number): Page<PartInfo> {
    return this.#context.read('list the parts of an upload', () => {
      this.#require(upload);
      const rows = this.#context.database
        .prepare('SELECT * FROM parts WHERE upload_id = ? AND number > ? ORDER BY number LIMIT ?')
        .all(upload.uploadId, afterNumber, limit + 1);
      return { items: rows.slice(0, limit).map(partOf), isTruncated: rows.length > limit };
    });
  }

  list(bucket: string, { prefix, afterKey, afterUploadId, limit }: UploadQuery): Page<UploadInfo> {
    return this.#context.read(`list the uploads of bucket '${bucket}'`, () => {
      this.#context.requireBucket(bucket);
      const rows = this.#context.database
        .prepare(
          `SELECT * FROM uploads WHERE bucket = ? AND key >= ? AND key < ? AND (key, upload_id) > (?, ?)
           ORDER BY key, upload_id LIMIT ?`,
        )
        .all(bucket, prefix, afterPrefix(prefix) ?? new Uint8Array(0), afterKey, afterUploadId, limit + 1);
      return { items: rows.slice(0, limit).map(uploadOf), isTruncated: rows.length > limit };
    });
  }

  #require({ bucket, key, uploadId }: UploadName): UploadInfo {
    this.#context.requireBucket(bucket);
    const row = this.#context.database
      .prepare('SELECT * FROM uploads WHERE bucket = ? AND key = ? AND upload_id = ?')
      .get(bucket, key, uploadId);
    if (row === undefined) {
      throw new ThawError(
        'UPLOAD_NOT_FOUND',
        `there is no upload '${uploadId}' of '${key}': completed, or aborted`,
      );
    }
    return uploadOf(row);
  }

  #parts(uploadId: string): StoredPart[] {
    const statement = this.#context.database.prepare(
      'SELECT * FROM parts WHERE upload_id = ? ORDER BY number',
    );
    return statement.all(uploadId).map(partOf);
  }

  #remove({ bucket, key, uploadId }: UploadName): void {
    const { database } = this.#context;
    database.prepare('DELETE FROM parts WHERE upload_id = ?').run(uploadId);
    database
      .prepare('DELETE FROM uploads WHERE bucket = ? AND key = ? AND upload_id = ?')
      .run(bucket, key, uploadId);
  }
}

function chosenParts(named: readonly NamedPart[], stored: readonly StoredPart[]): StoredPart[] {
  const byNumber = new Map(stored.map((part) => [part.number, part]));
  if (named.length === 0) throw refused('MalformedXML', 'an upload is completed with a part at least');
  let last = 0;
  const chosen = named.map(({ number, etag, checksum }) => {
    if (number <= last) throw refused('InvalidPartOrder', 'the parts must be named by rising number');
    last = number;
    const part = byNumber.get(number);
    if (part === undefined || part.etag !== etag)
      throw refused('InvalidPart', `part ${number} was not uploaded, or its ETag is another`);
    if (checksum !== undefined && part.checksum !== undefined && part.checksum.value !== checksum.value)
      throw refused('InvalidPart', `the checksum of part ${number} is another`);
    return part;
  });
  for (const part of chosen.slice(0, -1)) {
    if (part.size < LIMITS.partBytesMin)
      throw refused('EntityTooSmall', `part ${part.number} has less than ${LIMITS.partBytesMin} bytes`);
  }
  return chosen;
}

function requirePartNumber(number: number): void {
  if (Number.isInteger(number) && number >= 1 && number <= LIMITS.partsMax) return;
  throw refused('InvalidArgument', `a part's number is from 1 to ${LIMITS.partsMax}`);
}

function etagOf(parts: readonly StoredPart[]): string {
  const hash = createHash('md5');
  for (const { etag } of parts) hash.update(etag, 'hex');
  return `${hash.digest('hex')}-${parts.length}`;
}

function refused(s3Code: string, message: string): ThawError {
  return new ThawError('INVALID_ARGUMENT', message, { details: { s3Code } });
}
