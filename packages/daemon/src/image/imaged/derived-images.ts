import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import * as z from 'zod';
import { fsyncDirectory } from '../../store/fsync-directory.ts';
import { ChunkTable } from '../chunks/chunk-table.ts';
import type { Skeleton } from '../erofs/write-skeleton.ts';

/** What is derived from images changes with this number; what another number wrote is made anew. */
const FORMAT = 2;
const ROOT = `lazy-${FORMAT}`;
const DIGEST = z.string().regex(/^sha256:[0-9a-f]{64}$/u);

const DERIVED = z.object({
  image: DIGEST,
  inodes: z.number().int(),
  layers: z.array(
    z.object({
      /** Of the layer as the manifest names it. */
      digest: DIGEST,
      /** Of the blob that is read: the same, or that of the converted copy. */
      blob: DIGEST,
      size: z.number().int(),
      /** Where the blob is: with the image itself, in the platform's data directory, or where another machine left it. */
      place: z.enum(['registry', 'local', 'copies']),
    }),
  ),
});
export type DerivedImage = z.output<typeof DERIVED>;

const CONVERTED = z.object({ digest: DIGEST, diffId: DIGEST, size: z.number().int(), tocDigest: DIGEST });
export type ConvertedBlob = z.output<typeof CONVERTED>;

export interface LoadedImage extends DerivedImage {
  readonly skeleton: Buffer;
  readonly table: ChunkTable;
}

/**
 * What was made of images so that they can be mounted lazily, by the digests that function versions pin: for each image
 * its file system without data and its table of chunks; for each layer without a table of contents a copy that has one.
 * All of it can be made again. A name that exists is complete.
 */
export class DerivedImages {
  readonly #directory: string;
  readonly #images: string;
  readonly #layers: string;

  /** `directory` is that of all images. Makes what is missing. */
  constructor(directory: string) {
    this.#directory = directory;
    const root = join(directory, ROOT);
    this.#images = join(root, 'images');
    this.#layers = join(root, 'layers');
    for (const each of [this.#images, this.#layers]) mkdirSync(each, { recursive: true, mode: 0o700 });
  }

  /** Removes what interrupted conversions and older formats left. Nobody may be converting. */
  clean(): void {
    for (const name of readdirSync(this.#directory))
      if (/^lazy-\d+$/u.test(name) && name !== ROOT) rmSync(join(this.#directory, name), { recursive: true });
    for (const directory of [this.#images, this.#layers])
      for (const name of readdirSync(directory))
        if (name.startsWith('.tmp-')) rmSync(join(directory, name), { recursive: true, force: true });
  }

  has(image: string): boolean {
    return existsSync(join(this.#images, hex(image)));
  }

  list(): string[] {
    return readdirSync(this.#images)
      .filter((name) => /^[0-9a-f]{64}$/u.test(name))
      .map((name) => `sha256:${name}`);
  }

  describe(image: string): DerivedImage | undefined {
    const text = readText(join(this.#images, hex(image), 'image.json'));
    return text === undefined ? undefined : DERIVED.parse(JSON.parse(text));
  }

  /** Undefined when it was never made. Throws STORE_FAILED. */
  load(image: string): LoadedImage | undefined {
    const derived = this.describe(image);
    if (derived === undefined) return undefined;
    const directory = join(this.#images, hex(image));
    try {
      const memory = readFileSync(join(directory, 'chunks'));
      const table = new ChunkTable(new Uint8Array(memory).buffer);
      const skeleton = readFileSync(join(directory, 'skeleton'));
      if (skeleton.length !== table.skeletonBytes) throw new Error('the metadata is cut short');
      return { ...derived, skeleton, table };
    } catch (cause) {
      throw new ThawError('STORE_FAILED', `what was derived from image ${image} cannot be read`, { cause });
    }
  }

  async keep(derived: DerivedImage, { bytes, chunks, size }: Skeleton): Promise<void> {
    const table = ChunkTable.of(chunks, { imageBytes: size, skeletonBytes: bytes.length });
    const temporary = this.temporary('images');
    mkdirSync(temporary, { mode: 0o700 });
    try {
      await writeWhole(join(temporary, 'skeleton'), bytes);
      await writeWhole(join(temporary, 'chunks'), new Uint8Array(table.memory));
      await writeWhole(join(temporary, 'image.json'), Buffer.from(JSON.stringify(derived)));
      const directory = join(this.#images, hex(derived.image));
      rmSync(directory, { recursive: true, force: true });
      renameSync(temporary, directory);
      await fsyncDirectory(this.#images);
    } catch (error) {
      rmSync(temporary, { recursive: true, force: true });
      throw error;
    }
  }

  /** A name beside the others that is nothing yet. */
  temporary(kind: 'images' | 'layers'): string {
    return join(kind === 'images' ? this.#images : this.#layers, `.tmp-${randomBytes(8).toString('hex')}`);
  }

  /** The converted copy of a layer, by the layer's own digest. */
  converted(layer: string): { readonly path: string; readonly blob: ConvertedBlob } | undefined {
    const text = readText(join(this.#layers, `${hex(layer)}.json`));
    const path = join(this.#layers, `${hex(layer)}.blob`);
    if (text === undefined || !existsSync(path)) return undefined;
    return { path, blob: CONVERTED.parse(JSON.parse(text)) };
  }

  /** `temporary` becomes the layer's copy. */
  async keepConverted(layer: string, temporary: string, blob: ConvertedBlob): Promise<string> {
    const path = join(this.#layers, `${hex(layer)}.blob`);
    renameSync(temporary, path);
    const { digest, diffId, size, tocDigest } = blob;
    const beside = this.temporary('layers');
    await writeWhole(beside, Buffer.from(JSON.stringify({ digest, diffId, size, tocDigest })));
    renameSync(beside, join(this.#layers, `${hex(layer)}.json`));
    await fsyncDirectory(this.#layers);
    return path;
  }

  /** Removes all but these images and the layers that they need; gives how many images went. */
  collect(live: ReadonlySet<string>): number {
    const kept = new Set<string>();
    let removed = 0;
    for (const image of this.list()) {
      if (!live.has(image)) {
        rmSync(join(this.#images, hex(image)), { recursive: true, force: true });
        removed += 1;
        continue;
      }
      for (const { digest } of this.describe(image)?.layers ?? []) kept.add(hex(digest));
    }
    for (const name of readdirSync(this.#layers)) {
      if (name.startsWith('.tmp-') || kept.has(name.slice(0, 64))) continue;
      rmSync(join(this.#layers, name), { force: true });
    }
    return removed;
  }
}

function hex(digest: string): string {
  return digest.replace('sha256:', '');
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new ThawError('STORE_FAILED', `${path} cannot be read`, { cause: error });
  }
}

async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}
