import { createHash, hash, randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../base/clock.ts';

/** How long an uploaded zip can be used; deploying takes seconds. */
export const UPLOAD_LIFETIME_MS = 60 * 60 * 1000;
/** Uploads that are kept or under way at the same time; the oldest complete one makes room for a new one. */
export const UPLOADS_MAX = 64;
const PARTIAL = '.partial';

/**
 * Zips that clients upload before they create a function from them. They are files that go away by themselves: an
 * upload that was interrupted, or that nobody used, is deleted when it is older than its lifetime.
 */
export class UploadStore {
  readonly #directory: string;
  readonly #clock: Clock;
  #underWay = 0;

  constructor(directory: string, clock: Clock) {
    this.#directory = directory;
    this.#clock = clock;
  }

  /**
   * Keeps the bytes under a name, over what was there; visible when complete. Gives their MD5 in upper-case hex, as
   * OSS does. Throws PAYLOAD_TOO_LARGE, BODY_TRUNCATED or THROTTLED.
   */
  async put(
    objectName: string,
    source: Buffer | Readable,
    bytesMax = LIMITS.codeObjectBytesMax,
  ): Promise<string> {
    if (this.#underWay >= UPLOADS_MAX) {
      throw new ThawError('THROTTLED', `${UPLOADS_MAX} uploads are under way`, { retryAfterS: 10 });
    }
    this.#underWay += 1;
    try {
      await mkdir(this.#directory, { recursive: true, mode: 0o700 });
      await this.#makeRoom();
      return await this.#write(
        objectName,
        Buffer.isBuffer(source) ? Readable.from([source]) : source,
        bytesMax,
      );
    } finally {
      this.#underWay -= 1;
    }
  }

  /** The bytes of an upload. Throws INVALID_ARGUMENT when there is none of this name, or none any more. */
  async read(objectName: string): Promise<Readable> {
    const path = this.#pathOf(objectName);
    const modifiedMs = await modifiedAt(path);
    if (modifiedMs === undefined || this.#isExpired(modifiedMs)) {
      throw new ThawError(
        'INVALID_ARGUMENT',
        `code.ossObjectName '${objectName}' is not an object that was uploaded in the last ${UPLOAD_LIFETIME_MS / 60_000} minutes`,
        { details: { field: 'code.ossObjectName' } },
      );
    }
    return createReadStream(path);
  }

  async #write(objectName: string, source: Readable, bytesMax: number): Promise<string> {
    const partial = join(this.#directory, `${randomBytes(12).toString('hex')}${PARTIAL}`);
    const md5 = createHash('md5');
    let size = 0;
    const meter = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        size += chunk.length;
        if (size > bytesMax) {
          done(new ThawError('PAYLOAD_TOO_LARGE', `the upload is larger than ${bytesMax} bytes`));
          return;
        }
        md5.update(chunk);
        done(null, chunk);
      },
    });
    try {
      await pipeline(source, meter, createWriteStream(partial, { mode: 0o600 }));
      const now = new Date(this.#clock.now());
      await utimes(partial, now, now);
      await rename(partial, this.#pathOf(objectName));
    } catch (error) {
      await rm(partial, { force: true });
      if (error instanceof ThawError) throw error;
      if (source.errored !== null || source.readableAborted) {
        throw new ThawError('BODY_TRUNCATED', 'the upload ended before all of it arrived', { cause: error });
      }
      throw new ThawError('STORE_FAILED', 'could not keep the upload', { cause: error });
    }
    return md5.digest('hex').toUpperCase();
  }

  /** Deletes what has expired, and the oldest of what is left while there is too much of it. */
  async #makeRoom(): Promise<void> {
    const complete: { readonly path: string; readonly modifiedMs: number }[] = [];
    for (const name of await readdir(this.#directory)) {
      const path = join(this.#directory, name);
      const modifiedMs = await modifiedAt(path);
      if (modifiedMs === undefined) continue;
      if (this.#isExpired(modifiedMs)) await rm(path, { force: true });
      else if (!name.endsWith(PARTIAL)) complete.push({ path, modifiedMs });
    }
    complete.sort((left, right) => left.modifiedMs - right.modifiedMs);
    const surplus = complete.length + this.#underWay - UPLOADS_MAX;
    for (const { path } of complete.slice(0, Math.max(0, surplus))) await rm(path, { force: true });
  }

  #isExpired(modifiedMs: number): boolean {
    return this.#clock.now() - modifiedMs >= UPLOAD_LIFETIME_MS;
  }

  /** The name comes from a client: it is never part of a path. */
  #pathOf(objectName: string): string {
    return join(this.#directory, hash('sha256', objectName));
  }
}

async function modifiedAt(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).mtimeMs;
  } catch {
    return undefined;
  }
}
