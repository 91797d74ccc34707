import { createHash } from 'node:crypto';
import { createReadStream, existsSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { diskProblem } from '../../base/disk-problem.ts';
import type { BlobSource } from '../blob-source.ts';
import type { LayerCopies, LayerCopy } from '../copies/layer-copies.ts';
import { mergeLayers } from '../erofs/merge-layers.ts';
import { writeSkeleton } from '../erofs/write-skeleton.ts';
import { convertLayer } from '../layer/convert-layer.ts';
import { readLayer, TOC_DIGEST_ANNOTATION } from '../layer/layer-reader.ts';
import type { LayerEntry } from '../layer/layer-entry.ts';
import { plainTar } from '../layer/plain-tar.ts';
import { zstdChunked } from '../layer/zstd-chunked-format.ts';
import { imageIds } from '../image-ids.ts';
import type { Image, ImageLayer } from '../image.ts';
import { pullDirectories, rootName } from '../unpack/pull-directories.ts';
import type { DerivedImage, DerivedImages } from './derived-images.ts';

export interface ConvertOptions {
  readonly derived: DerivedImages;
  /** Of all images: layers that were pulled whole are not fetched again. */
  readonly directory: string;
  /** Where machines leave what they converted for each other. */
  readonly copies?: LayerCopies | undefined;
  /** Told of copies that could not be looked up or left; the image does not depend on them. */
  readonly onProblem?: (text: string, error: unknown) => void;
}

type Place = DerivedImage['layers'][number]['place'];

interface ReadLayer {
  readonly entries: readonly LayerEntry[];
  readonly blob: string;
  readonly size: number;
  readonly place: Place;
}

/**
 * Makes of an image what mounting it lazily needs. A layer with a table of contents is used as it is, by that
 * alone, and so is the copy that another machine left; any other is written again, once for all images that have it.
 * Throws INVALID_IMAGE, IMAGE_CORRUPT,
 * IMAGE_TOO_LARGE for the image's faults, STORE_FAILED for the disk's.
 */
export async function convertImage(
  image: Image,
  source: BlobSource,
  options: ConvertOptions,
): Promise<DerivedImage> {
  try {
    // What is only read is read at once; what has to be written again is written one after the other.
    const known = await Promise.all(image.layers.map((layer) => readKnown(layer, source, options)));
    const layers: ReadLayer[] = [];
    for (const [at, layer] of image.layers.entries())
      layers.push(known[at] ?? (await convertAndLeave(layer, source, options)));
    const root = mergeLayers(layers.map(({ entries }) => entries));
    const skeleton = writeSkeleton(root, imageIds()?.toHost ?? ((id) => id));
    const derived: DerivedImage = {
      image: image.digest,
      inodes: skeleton.inodes,
      layers: layers.map(({ blob, size, place }, at) => ({
        digest: image.layers[at]?.digest ?? blob,
        blob,
        size,
        place,
      })),
    };
    await options.derived.keep(derived, skeleton);
    return derived;
  } catch (error) {
    if (error instanceof ThawError) throw error;
    const problem = diskProblem(error) ?? 'a file could not be written or read';
    throw new ThawError('STORE_FAILED', `converting image ${image.digest}: ${problem}`, { cause: error });
  }
}

/**
 * Whether there is a readable form of every layer: it says of itself that it has a table of contents, or was converted
 * here or by another machine. Then conversion is a few reads, and worth waiting for.
 */
export async function isQuick(
  image: Image,
  { derived, copies, onProblem }: Omit<ConvertOptions, 'directory'>,
): Promise<boolean> {
  const others = image.layers.filter(
    ({ digest, annotations }) =>
      annotations?.[TOC_DIGEST_ANNOTATION] === undefined && derived.converted(digest) === undefined,
  );
  if (others.length === 0) return true;
  if (copies === undefined) return false;
  const found = await Promise.all(others.map((layer) => findCopy(layer, copies, onProblem)));
  return found.every((copy) => copy !== undefined);
}

/** Undefined for a layer that has to be converted. */
async function readKnown(
  layer: ImageLayer,
  source: BlobSource,
  options: ConvertOptions,
): Promise<ReadLayer | undefined> {
  const asItIs = await readAsItIs(layer, source);
  if (asItIs !== undefined) return asItIs;
  const local = await readConverted(layer, options);
  if (local !== undefined) return local;
  const { copies, onProblem } = options;
  const copy = copies === undefined ? undefined : await findCopy(layer, copies, onProblem);
  if (copies === undefined || copy === undefined) return undefined;
  try {
    return await readCopy(copy, copies.source);
  } catch (error) {
    onProblem?.(`the copy of layer ${layer.digest} in ${copies.name} cannot be used`, error);
    return undefined;
  }
}

async function convertAndLeave(
  layer: ImageLayer,
  source: BlobSource,
  options: ConvertOptions,
): Promise<ReadLayer> {
  // The same layer may stand in an image twice.
  const converted = (await readConverted(layer, options)) ?? (await convert(layer, source, options));
  if (options.copies?.pushes === true) await pushCopy(layer, options.copies, options);
  return converted;
}

async function readConverted(layer: ImageLayer, { derived }: ConvertOptions): Promise<ReadLayer | undefined> {
  const known = derived.converted(layer.digest);
  if (known === undefined) return undefined;
  const { path, blob } = known;
  const entries = await readLayer(
    { size: blob.size, readRange: (start, end) => readFile(path, start, end) },
    blob.tocDigest,
  );
  return { entries, blob: blob.digest, size: blob.size, place: 'local' };
}

async function findCopy(
  layer: ImageLayer,
  copies: LayerCopies,
  onProblem: ConvertOptions['onProblem'],
): Promise<LayerCopy | undefined> {
  try {
    return await copies.find(layer);
  } catch (error) {
    onProblem?.(`whether ${copies.name} has a copy of layer ${layer.digest} is not known`, error);
    return undefined;
  }
}

async function readCopy({ blob, tocDigest }: LayerCopy, source: BlobSource): Promise<ReadLayer> {
  const readRange = async (start: number, end: number): Promise<Buffer> =>
    await buffer(await source.blob(blob, { range: { start, end } }));
  const entries = await readLayer({ size: blob.size, readRange }, tocDigest);
  return { entries, blob: blob.digest, size: blob.size, place: 'copies' };
}

async function pushCopy(
  layer: ImageLayer,
  copies: LayerCopies,
  { derived, onProblem }: ConvertOptions,
): Promise<void> {
  const converted = derived.converted(layer.digest);
  if (converted === undefined) return;
  const { path, blob } = converted;
  try {
    await copies.push(layer, { path, ...blob });
  } catch (error) {
    onProblem?.(`the copy of layer ${layer.digest} could not be left in ${copies.name}`, error);
  }
}

/** One that has no table of contents after all, or is of a kind that is not mounted, is converted like any other. */
async function readAsItIs(layer: ImageLayer, source: BlobSource): Promise<ReadLayer | undefined> {
  const tocDigest = layer.annotations?.[TOC_DIGEST_ANNOTATION];
  if (tocDigest === undefined) return undefined;
  const readRange = async (start: number, end: number): Promise<Buffer> =>
    await buffer(await source.blob(layer, { range: { start, end } }));
  try {
    const entries = await readLayer({ size: layer.size, readRange }, tocDigest);
    return { entries, blob: layer.digest, size: layer.size, place: 'registry' };
  } catch (error) {
    if (error instanceof ThawError && error.code === 'INVALID_IMAGE') return undefined;
    throw error;
  }
}

async function convert(
  layer: ImageLayer,
  source: BlobSource,
  { derived, directory }: ConvertOptions,
): Promise<ReadLayer> {
  const temporary = derived.temporary('layers');
  const file = await open(temporary, 'wx', 0o600);
  try {
    const tar = createHash('sha256');
    const blob = await openLayer(layer, source, directory);
    const converted = await convertLayer(hashed(plainTar(blob), tar), file, zstdChunked);
    const diffId = `sha256:${tar.digest('hex')}`;
    if (diffId !== layer.diffId)
      throw new ThawError(
        'IMAGE_CORRUPT',
        `layer ${layer.digest} unpacks to ${diffId}, expected ${layer.diffId}`,
      );
    await file.sync();
    await derived.keepConverted(layer.digest, temporary, converted);
    return { entries: converted.entries, blob: converted.digest, size: converted.size, place: 'local' };
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    await file.close();
  }
}

async function openLayer(layer: ImageLayer, source: BlobSource, directory: string): Promise<Readable> {
  const pulled = join(pullDirectories(directory).blobs, rootName(layer.digest));
  return existsSync(pulled) ? createReadStream(pulled) : await source.blob(layer);
}

async function* hashed(
  source: AsyncIterable<Buffer>,
  hash: ReturnType<typeof createHash>,
): AsyncGenerator<Buffer> {
  for await (const part of source) {
    hash.update(part);
    yield part;
  }
}

async function readFile(path: string, start: number, end: number): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const bytes = Buffer.alloc(end - start);
    const { bytesRead } = await file.read(bytes, 0, bytes.length, start);
    return bytes.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
