import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { diskProblem } from '../../base/disk-problem.ts';
import type { Image, ImageLayer } from '../../model/image.ts';
import type { BlobSource } from '../blob-source.ts';
import { imageIds } from '../image-ids.ts';
import { ImageTree } from './image-tree.ts';
import { LayerBlobs } from './layer-blobs.ts';
import { pullDirectories, rootName } from './pull-directories.ts';
import { unpackLayer } from './unpack-layer.ts';

/** Layers of one image that are fetched at the same time. */
const FETCHES_MAX = 4;
const SYNC_MS_MAX = 120_000;

export interface PullLimits {
  readonly bytesMax: number;
  readonly entriesMax: number;
}

/** Brings whole images to the disk: fetches layers, unpacks them over each other, and gives the result its name at last. */
export class ImagePuller {
  readonly #directory: string;
  readonly #blobs: LayerBlobs;
  readonly #limits: PullLimits;
  readonly #pulling = new Map<string, Promise<string>>();

  constructor(directory: string, limits?: PullLimits) {
    this.#directory = directory;
    const { blobs, roots } = pullDirectories(directory);
    mkdirSync(blobs, { recursive: true, mode: 0o700 });
    mkdirSync(roots, { recursive: true, mode: 0o700 });
    this.#blobs = new LayerBlobs(blobs);
    this.#limits = limits ?? { bytesMax: LIMITS.imageBytesMax, entriesMax: LIMITS.imageEntriesMax };
  }

  /** The directory with the merged image. Pulls of one image share the work. */
  async pull(image: Image, source: BlobSource): Promise<string> {
    const path = join(pullDirectories(this.#directory).roots, rootName(image.digest));
    if (existsSync(path)) return path;
    const underWay = this.#pulling.get(path);
    if (underWay !== undefined) return await underWay;
    const pulling = this.#pull(image, source, path).finally(() => this.#pulling.delete(path));
    this.#pulling.set(path, pulling);
    return await pulling;
  }

  async #pull(image: Image, source: BlobSource, path: string): Promise<string> {
    const temporary = join(pullDirectories(this.#directory).roots, `.tmp-${randomBytes(8).toString('hex')}`);
    try {
      this.#requireSpace(image);
      const files = await this.#fetch(image.layers, source);
      const { bytesMax, entriesMax } = this.#limits;
      const tree = new ImageTree({ root: temporary, ids: imageIds(), entriesMax });
      const budget = { left: bytesMax };
      for (const [at, layer] of image.layers.entries())
        await unpackLayer(files[at] ?? '', layer, tree, budget);
      await flush(temporary);
      // What the collector needs to know of the image stands before the image does.
      writeFileSync(`${path}.json`, JSON.stringify({ layers: image.layers.map(({ digest }) => digest) }));
      renameSync(temporary, path);
      return path;
    } catch (error) {
      rmSync(temporary, { recursive: true, force: true });
      if (error instanceof ThawError) throw error;
      const problem = diskProblem(error) ?? 'could not be written';
      throw new ThawError('STORE_FAILED', `image ${image.digest}: ${problem}`, { cause: error });
    }
  }

  /** A disk that cannot hold even the layers as they come is told of before anything has been fetched. */
  #requireSpace({ digest, layers }: Image): void {
    const { bavail, bsize } = statfsSync(this.#directory);
    const needed = layers.reduce((sum, { size }) => sum + size, 0);
    if (needed <= bavail * bsize) return;
    const message = `image ${digest}: the platform's disk is full: ${needed} bytes are needed, ${bavail * bsize} are free`;
    throw new ThawError('STORE_FAILED', message);
  }

  async #fetch(layers: readonly ImageLayer[], source: BlobSource): Promise<string[]> {
    const files: string[] = [];
    const waiting = layers.entries();
    const fetchSome = async (): Promise<void> => {
      for (const [at, layer] of waiting) files[at] = await this.#blobs.require(source, layer);
    };
    const workers = await Promise.allSettled(Array.from({ length: FETCHES_MAX }, fetchSome));
    for (const worker of workers) if (worker.status === 'rejected') throw worker.reason;
    return files;
  }
}

/** A name must not outlive a crash of the machine that its content did not. */
function flush(path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile('sync', ['-f', path], { timeout: SYNC_MS_MAX }, (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}
