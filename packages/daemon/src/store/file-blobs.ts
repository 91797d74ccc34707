import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, renameSync, rmSync, unlinkSync } from 'node:fs';
import { open, readdir, rm, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Blobs, StoredBlob } from './blobs.ts';
import { fsyncDirectory, fsyncDirectorySync } from './fsync-directory.ts';

const DIGEST = /^[0-9a-f]{64}$/;
const SHARD = /^[0-9a-f]{2}$/;

/**
 * `Blobs` as files `<directory>/<first two digits>/<digest>`. A blob is written under a temporary name and renamed
 * when it is complete and on disk; what an interrupted put left is cleared by the next open.
 */
export class FileBlobs implements Blobs {
  readonly #directory: string;
  readonly #temporary: string;

  /** Makes the directory when it is missing. Throws STORE_FAILED. */
  constructor(directory: string) {
    this.#directory = directory;
    this.#temporary = join(directory, 'tmp');
    try {
      rmSync(this.#temporary, { recursive: true, force: true });
      mkdirSync(this.#temporary, { recursive: true });
      // Function code may hold secrets: only the platform reads blobs.
      chmodSync(directory, 0o700);
      fsyncDirectorySync(dirname(directory));
    } catch (error) {
      throw new ThawError('STORE_FAILED', `could not open the blobs in ${directory}`, { cause: error });
    }
  }

  async put(source: Buffer | Readable, bytesMax: number): Promise<StoredBlob> {
    const temporary = join(this.#temporary, randomBytes(12).toString('hex'));
    try {
      const blob = await writeBlob(temporary, source, bytesMax);
      const path = this.#pathOf(blob.digest);
      await this.#makeShard(dirname(path));
      // An equal blob is replaced, not kept: that renews its age, so that a collector that saw the old one as
      // garbage sees it as new, and it heals a damaged file. Synchronous, so that no delete comes between.
      renameSync(temporary, path);
      await fsyncDirectory(dirname(path));
      return blob;
    } catch (error) {
      await rm(temporary, { force: true });
      if (error instanceof ThawError) throw error;
      throw new ThawError('STORE_FAILED', 'could not write a blob', { cause: error });
    }
  }

  path(digest: string): string | undefined {
    if (!DIGEST.test(digest)) return undefined;
    const path = this.#pathOf(digest);
    return existsSync(path) ? path : undefined;
  }

  /** The file is gone when the call returns, before the promise settles: nothing can come between a check and it. */
  // oxlint-disable-next-line typescript/require-await
  async delete(digest: string): Promise<void> {
    if (!DIGEST.test(digest)) return;
    try {
      unlinkSync(this.#pathOf(digest));
    } catch (error) {
      if (isNotFound(error)) return;
      throw new ThawError('STORE_FAILED', `could not delete the blob ${digest}`, { cause: error });
    }
  }

  async list(): Promise<readonly string[]> {
    const shards = (await readdir(this.#directory)).filter((name) => SHARD.test(name));
    const digests: string[] = [];
    for (const shard of shards) {
      for (const name of await readdir(join(this.#directory, shard))) {
        if (DIGEST.test(name)) digests.push(name);
      }
    }
    return digests.toSorted();
  }

  #pathOf(digest: string): string {
    return join(this.#directory, digest.slice(0, 2), digest);
  }

  async #makeShard(shard: string): Promise<void> {
    if (existsSync(shard)) return;
    mkdirSync(shard, { recursive: true });
    await fsyncDirectory(this.#directory);
  }
}

async function writeBlob(path: string, source: Buffer | Readable, bytesMax: number): Promise<StoredBlob> {
  assert(bytesMax >= 0);
  const handle = await open(path, 'wx', 0o400);
  try {
    const hash = createHash('sha256');
    let size = 0;
    for await (const chunk of chunksOf(source)) {
      size += chunk.length;
      if (size > bytesMax) {
        throw new ThawError('PAYLOAD_TOO_LARGE', `the upload is larger than ${bytesMax} bytes`, {
          details: { bytesMax },
        });
      }
      hash.update(chunk);
      await writeAll(handle, chunk);
    }
    await handle.sync();
    return { digest: hash.digest('hex'), size };
  } finally {
    await handle.close();
  }
}

/** Pieces small enough that hashing one does not hold up the event loop. */
const HASH_BYTES = 1024 * 1024;

async function* chunksOf(source: Buffer | Readable): AsyncGenerator<Buffer> {
  if (Buffer.isBuffer(source)) {
    for (let at = 0; at < source.length; at += HASH_BYTES) yield source.subarray(at, at + HASH_BYTES);
    return;
  }
  try {
    // The stream stays its owner's: an HTTP request that is too large must still be answered on its socket.
    for await (const chunk of source.iterator({ destroyOnReturn: false })) yield Buffer.from(chunk);
  } catch (error) {
    if (error instanceof ThawError) throw error;
    throw new ThawError('BODY_TRUNCATED', 'the upload broke off before its end', { cause: error });
  }
}

async function writeAll(handle: FileHandle, chunk: Buffer): Promise<void> {
  let at = 0;
  while (at < chunk.length) at += (await handle.write(chunk, at)).bytesWritten;
}

function isNotFound(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
