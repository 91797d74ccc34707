import { randomBytes } from 'node:crypto';
import { createWriteStream, existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { diskProblem } from '../../base/disk-problem.ts';
import type { BlobSource, Descriptor } from '../blob-source.ts';

const ATTEMPTS_MAX = 3;

/**
 * Layers as they came, whole and verified, by digest: `<directory>/<hex>`. One that has its name is complete; those that
 * want the same one at once share the fetching.
 */
export class LayerBlobs {
  readonly #directory: string;
  readonly #fetching = new Map<string, Promise<string>>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** The file with the blob. Throws what the source does, and STORE_FAILED. */
  async require(source: BlobSource, descriptor: Descriptor): Promise<string> {
    const path = join(this.#directory, descriptor.digest.replace('sha256:', ''));
    if (existsSync(path)) return path;
    const underWay = this.#fetching.get(path);
    if (underWay !== undefined) return await underWay;
    const fetching = this.#fetch(source, descriptor, path).finally(() => this.#fetching.delete(path));
    this.#fetching.set(path, fetching);
    return await fetching;
  }

  async #fetch(source: BlobSource, descriptor: Descriptor, path: string): Promise<string> {
    const temporary = join(this.#directory, `.tmp-${randomBytes(8).toString('hex')}`);
    for (let attempt = 1; ; attempt++) {
      try {
        await pipeline(await source.blob(descriptor), createWriteStream(temporary, { mode: 0o600 }));
        renameSync(temporary, path);
        return path;
      } catch (error) {
        rmSync(temporary, { force: true });
        const failure = fetchError(error, descriptor, source.name);
        // A connection that broke half-way says nothing of the next one.
        if (failure.code !== 'REGISTRY_FAILED' || error instanceof ThawError || attempt >= ATTEMPTS_MAX)
          throw failure;
      }
    }
  }
}

function fetchError(error: unknown, { digest }: Descriptor, from: string): ThawError {
  if (error instanceof ThawError) return error;
  const problem = diskProblem(error);
  if (problem !== undefined)
    return new ThawError('STORE_FAILED', `layer ${digest} could not be kept: ${problem}`, { cause: error });
  const message = error instanceof Error ? error.message : String(error);
  return new ThawError(
    'REGISTRY_FAILED',
    `layer ${digest} from ${from} did not come to its end: ${message}`,
    {
      cause: error,
    },
  );
}
