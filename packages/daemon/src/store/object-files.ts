import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, renameSync, unlinkSync } from 'node:fs';
import { copyFile, link, open, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { diskProblem } from '../base/disk-problem.ts';
import { fsyncDirectory, fsyncDirectorySync } from './fsync-directory.ts';
import type { StagedBytes } from './objects.ts';

const SHARDS = 256;
const READ_BYTES = 256 * 1024;
/** Pieces small enough that hashing one does not hold up the event loop. */
const HASH_BYTES = 1024 * 1024;

/**
 * The bytes of objects: `tmp/<id>` until something names them, `data/<two digits>/<id>` from then on. The name is given
 * in the database; the file follows in the same turn, and after a crash the next open catches up on it, so that only
 * `tmp` has to be looked through.
 */
export class ObjectFiles {
  readonly #temporary: string;
  readonly #data: string;
  readonly #readers = new Map<string, number>();
  /** Named by nothing, but still read. */
  readonly #doomed = new Set<string>();
  readonly #onRemoved: (fileId: string) => void;
  readonly #removals = new Set<Promise<void>>();
  #lastSync: Promise<void> = Promise.resolve();
  #nextSync: Promise<void> | undefined;

  /** Throws STORE_FAILED. `onRemoved` hears of each file that is gone from the disk. */
  constructor(directory: string, onRemoved: (fileId: string) => void) {
    this.#temporary = join(directory, 'tmp');
    this.#data = join(directory, 'data');
    this.#onRemoved = onRemoved;
    try {
      mkdirSync(this.#temporary, { recursive: true });
      for (let shard = 0; shard < SHARDS; shard++) {
        mkdirSync(join(this.#data, shard.toString(16).padStart(2, '0')), { recursive: true });
      }
      // Only the platform reads what users put.
      chmodSync(directory, 0o700);
      fsyncDirectorySync(this.#data);
      fsyncDirectorySync(directory);
    } catch (error) {
      throw new ThawError('STORE_FAILED', `could not open the objects in ${directory}`, { cause: error });
    }
  }

  /** What a crash left: files that were named become data, all others go. */
  recover(isNamed: (fileId: string) => boolean): void {
    for (const fileId of readdirSync(this.#temporary)) {
      if (isNamed(fileId)) this.publish(fileId);
      else unlinkSync(join(this.#temporary, fileId));
    }
  }

  async stage(source: Readable | AsyncIterable<Uint8Array>, bytesMax: number): Promise<StagedBytes> {
    const fileId = newFileId();
    const path = join(this.#temporary, fileId);
    try {
      const handle = await open(path, 'wx', 0o400);
      try {
        const staged = await writeTo(handle, fileId, source, bytesMax);
        await handle.sync();
        await this.#syncNames();
        return staged;
      } finally {
        await handle.close();
      }
    } catch (error) {
      await rm(path, { force: true });
      throw writeFailure(error);
    }
  }

  /** Other names for the same bytes, staged; where the file system has none, copies. */
  async stageCopies(fileIds: readonly string[]): Promise<readonly string[]> {
    const copies: string[] = [];
    try {
      for (const fileId of fileIds) {
        const copy = newFileId();
        copies.push(copy);
        await this.#linkOrCopy(fileId, copy);
      }
      await this.#syncNames();
      return copies;
    } catch (error) {
      await Promise.all(copies.map((copy) => this.discard(copy)));
      throw writeFailure(error);
    }
  }

  discard(fileId: string): Promise<void> {
    const removal = rm(join(this.#temporary, fileId), { force: true });
    // What cannot be removed now is cleared by the next open.
    this.#await(removal.catch(() => undefined));
    return removal;
  }

  /** Called in the same turn in which the database came to name the file. */
  publish(fileId: string): void {
    renameSync(join(this.#temporary, fileId), this.#path(fileId));
  }

  /** Keeps the file until as many `release` have come. */
  hold(fileId: string): void {
    this.#readers.set(fileId, (this.#readers.get(fileId) ?? 0) + 1);
  }

  release(fileId: string): void {
    const left = (this.#readers.get(fileId) ?? 0) - 1;
    if (left > 0) {
      this.#readers.set(fileId, left);
      return;
    }
    this.#readers.delete(fileId);
    if (this.#doomed.delete(fileId)) this.remove(fileId);
  }

  async *read(fileId: string, start: number, end: number): AsyncGenerator<Buffer> {
    const handle = await open(this.#path(fileId), 'r');
    try {
      for (let at = start; at < end;) {
        const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, end - at));
        const { bytesRead } = await handle.read(buffer, 0, buffer.length, at);
        if (bytesRead === 0)
          throw new ThawError('STORE_FAILED', 'an object on disk is shorter than it was stored');
        at += bytesRead;
        yield buffer.subarray(0, bytesRead);
      }
    } finally {
      await handle.close();
    }
  }

  /** Removes the file when its last reader has gone. */
  remove(fileId: string): void {
    if (this.#readers.has(fileId)) {
      this.#doomed.add(fileId);
      return;
    }
    const removal = rm(this.#path(fileId), { force: true }).then(
      () => this.#onRemoved(fileId),
      // It stays garbage, and the next open tries again.
      () => undefined,
    );
    this.#await(removal);
  }

  /** Settles when what is being removed is. */
  async settled(): Promise<void> {
    await Promise.all(this.#removals);
  }

  /** Makes the names in `tmp` durable. Who comes while that is under way shares the next time. */
  #syncNames(): Promise<void> {
    this.#nextSync ??= this.#lastSync.then(() => {
      this.#nextSync = undefined;
      const sync = fsyncDirectory(this.#temporary);
      this.#lastSync = sync.catch(() => undefined);
      return sync;
    });
    return this.#nextSync;
  }

  #await(removal: Promise<void>): void {
    this.#removals.add(removal);
    void removal.finally(() => this.#removals.delete(removal));
  }

  async #linkOrCopy(fileId: string, copy: string): Promise<void> {
    const target = join(this.#temporary, copy);
    try {
      await link(this.#path(fileId), target);
    } catch {
      // No hard links here, or as many as an inode may have.
      await copyFile(this.#path(fileId), target);
      const handle = await open(target, 'r');
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
    }
  }

  #path(fileId: string): string {
    return join(this.#data, fileId.slice(0, 2), fileId);
  }
}

function newFileId(): string {
  return randomBytes(12).toString('hex');
}

async function writeTo(
  handle: FileHandle,
  fileId: string,
  source: Readable | AsyncIterable<Uint8Array>,
  bytesMax: number,
): Promise<StagedBytes> {
  const hash = createHash('md5');
  let size = 0;
  for await (const chunk of chunksOf(source)) {
    size += chunk.length;
    if (size > bytesMax) {
      throw new ThawError('PAYLOAD_TOO_LARGE', `the object is larger than ${bytesMax} bytes`, {
        details: { bytesMax },
      });
    }
    hash.update(chunk);
    for (let at = 0; at < chunk.length;) at += (await handle.write(chunk, at)).bytesWritten;
  }
  return { fileId, size, md5: hash.digest('hex') };
}

async function* chunksOf(source: Readable | AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  // A stream stays its owner's: a request that is too large must still be answered on its socket.
  const chunks: AsyncIterable<Uint8Array> =
    source instanceof Readable ? source.iterator({ destroyOnReturn: false }) : source;
  try {
    for await (const chunk of chunks) {
      for (let at = 0; at < chunk.length; at += HASH_BYTES) yield chunk.subarray(at, at + HASH_BYTES);
    }
  } catch (error) {
    if (error instanceof ThawError) throw error;
    throw new ThawError('BODY_TRUNCATED', 'the upload broke off before its end', { cause: error });
  }
}

function writeFailure(error: unknown): ThawError {
  if (error instanceof ThawError) return error;
  const reason = diskProblem(error);
  const why = reason === undefined ? '' : `: ${reason}`;
  return new ThawError('STORE_FAILED', `could not write an object${why}`, { cause: error });
}
