import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../base/clock.ts';
import type { CodeRef } from '../model/function.ts';
import type { Blobs } from '../store/blobs.ts';
import { fileChecksum } from './code-checksum.ts';
import { CodePackages } from './code-package.ts';
import { layerSetDigest, LayerSets } from './layer-set.ts';
import type { UnpackLimits } from './unpack-zip.ts';

/**
 * How long code is kept that no record names: an upload is stored before the record that names it is written, and an
 * upload path may hand out a reference that is used minutes later.
 */
const COLLECT_GRACE_MS = 15 * 60 * 1000;

export interface CodeStoreOptions {
  readonly dataDirectory: string;
  readonly blobs: Blobs;
  readonly clock: Clock;
  readonly collectGraceMs?: number;
  readonly unpackLimits?: UnpackLimits;
}

export interface LiveCode {
  /** Code of every version and layer on record, and of every instance that still runs. */
  readonly codes: Iterable<CodeRef>;
  /** The ordered layers of every version on record, and of every instance that still runs. */
  readonly layerSets: Iterable<readonly CodeRef[]>;
}

export interface Collected {
  readonly packages: number;
  readonly layerSets: number;
  readonly blobs: number;
}

/** Code as uploaded (blobs) and as run (directories): `<data>/code/<digest>/` and `<data>/layers/<digest>/`. */
export class CodeStore {
  readonly #blobs: Blobs;
  readonly #clock: Clock;
  readonly #graceMs: number;
  readonly #packages: CodePackages;
  readonly #layerSets: LayerSets;

  private constructor(options: CodeStoreOptions, packages: CodePackages, layerSets: LayerSets) {
    this.#blobs = options.blobs;
    this.#clock = options.clock;
    this.#graceMs = options.collectGraceMs ?? COLLECT_GRACE_MS;
    this.#packages = packages;
    this.#layerSets = layerSets;
  }

  /** Opens the store and clears what interrupted unpacks left. One store at a time may be open on a directory. */
  static async open(options: CodeStoreOptions): Promise<CodeStore> {
    const { clock, dataDirectory } = options;
    try {
      const packages = await CodePackages.open(join(dataDirectory, 'code'), clock, options.unpackLimits);
      return new CodeStore(options, packages, await LayerSets.open(join(dataDirectory, 'layers'), clock));
    } catch (error) {
      throw new ThawError('STORE_FAILED', `could not open the code in ${dataDirectory}`, { cause: error });
    }
  }

  /**
   * Stores a zip and unpacks it, which is its validation. Throws PAYLOAD_TOO_LARGE, INVALID_CODE_PACKAGE,
   * BODY_TRUNCATED, STORE_FAILED. Of an invalid zip nothing stays: equal bytes are as invalid wherever they are named.
   */
  async add(zip: Buffer | Readable, bytesMax: number = LIMITS.codeZipBytesMax): Promise<CodeRef> {
    const { digest, size } = await this.#blobs.put(zip, bytesMax);
    const path = this.#requireBlob(digest);
    try {
      await this.#packages.unpack(digest, path);
    } catch (error) {
      if (error instanceof ThawError && error.code === 'INVALID_CODE_PACKAGE')
        await this.#blobs.delete(digest);
      throw error;
    }
    return { zipDigest: digest, size, checksum: await fileChecksum(path) };
  }

  /** The unpacked code; immutable. Throws STORE_FAILED when neither it nor its zip is there. */
  async directory(ref: CodeRef): Promise<string> {
    return this.#packages.unpack(ref.zipDigest, this.#requireBlob(ref.zipDigest));
  }

  /** The file with the zip as uploaded, never to be written. */
  zipFile(ref: CodeRef): string {
    return this.#requireBlob(ref.zipDigest);
  }

  /** The merged layers, the first one in the list winning; immutable. Undefined when there are none. */
  async layerDirectory(refs: readonly CodeRef[]): Promise<string | undefined> {
    const layers = await Promise.all(
      refs.map(async (ref) => ({ zipDigest: ref.zipDigest, directory: await this.directory(ref) })),
    );
    const only = layers[0];
    if (only === undefined) return undefined;
    return layers.length === 1 ? only.directory : this.#layerSets.merge(layers);
  }

  /**
   * Removes packages, layer sets and blobs that nothing names. Safe beside concurrent adds: what was added or asked
   * for within the grace stays. Takes the live ones as of the call.
   */
  async collect(live: LiveCode): Promise<Collected> {
    const sets = Array.from(live.layerSets, (refs) => refs.map((ref) => ref.zipDigest));
    const codes = new Set([...Array.from(live.codes, (ref) => ref.zipDigest), ...sets.flat()]);
    const layerSets = await this.#layerSets.collect(new Set(sets.map(layerSetDigest)), this.#graceMs);
    const packages = await this.#packages.collect(codes, this.#graceMs);
    let blobs = 0;
    for (const digest of await this.#blobs.list()) {
      const path = this.#blobs.path(digest);
      if (codes.has(digest) || path === undefined) continue;
      // No turn passes between the look at the age and the deletion, and a put renews the age.
      const found = statSync(path, { throwIfNoEntry: false });
      if (found === undefined || this.#clock.now() - found.mtimeMs <= this.#graceMs) continue;
      await this.#blobs.delete(digest);
      blobs += 1;
    }
    return { packages, layerSets, blobs };
  }

  #requireBlob(digest: string): string {
    const path = this.#blobs.path(digest);
    if (path === undefined) {
      throw new ThawError('STORE_FAILED', `the code package ${digest} is missing from the store`);
    }
    return path;
  }
}
