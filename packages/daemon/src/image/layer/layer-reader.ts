import { createHash } from 'node:crypto';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { estargz } from './estargz-format.ts';
import type { LayerEntry } from './layer-entry.ts';
import { BLOB_END_BYTES, type LayerFormat, type TocPlace } from './layer-format.ts';
import { parseToc } from './toc.ts';
import { zstdChunked } from './zstd-chunked-format.ts';

/** Where a manifest says which table of contents a layer has. */
export const TOC_DIGEST_ANNOTATION = 'containerd.io/snapshot/stargz/toc.digest';
const FORMATS: readonly LayerFormat[] = [zstdChunked, estargz];
const TOC_BYTES_MAX = 256 * 1024 * 1024;

export interface LayerBlob {
  readonly size: number;
  /** The bytes from `start` up to, not with, `end`. */
  readRange(start: number, end: number): Promise<Buffer>;
}

/**
 * What is in the blob of a layer that has a table of contents, by two reads at its end. `tocDigest` is that of the
 * layer's annotation. Throws IMAGE_CORRUPT where table and digest differ, INVALID_IMAGE where the blob has none or is of
 * a kind that cannot be mounted.
 */
export async function readLayer(blob: LayerBlob, tocDigest: string): Promise<LayerEntry[]> {
  const place = await placeOfToc(blob);
  const json = await unpackToc(await blob.readRange(place.start, place.end), place);
  const digest = `sha256:${createHash('sha256').update(json).digest('hex')}`;
  if (digest !== tocDigest)
    throw new ThawError(
      'IMAGE_CORRUPT',
      `the table of contents of a layer is ${digest}, expected ${tocDigest}`,
    );
  return parseToc(json, place.chunksEnd);
}

async function placeOfToc(blob: LayerBlob): Promise<TocPlace> {
  const { size } = blob;
  if (size <= BLOB_END_BYTES) throw withoutToc('is too short');
  const lastBytes = await blob.readRange(size - BLOB_END_BYTES, size);
  const [place] = FORMATS.flatMap((format) => format.findToc(lastBytes, size) ?? []);
  if (place === undefined) throw withoutToc('has no footer');
  const { start, end, chunksEnd } = place;
  if (chunksEnd < 0 || start >= end || end > size) throw withoutToc('has a footer that points elsewhere');
  if (end - start > TOC_BYTES_MAX) throw withoutToc('has one that is too large');
  return place;
}

async function unpackToc(packed: Buffer, place: TocPlace): Promise<Buffer> {
  try {
    return await place.unpack(packed, TOC_BYTES_MAX);
  } catch (cause) {
    if (cause instanceof ThawError) throw cause;
    throw new ThawError('INVALID_IMAGE', 'the table of contents of a layer cannot be unpacked', { cause });
  }
}

function withoutToc(why: string): ThawError {
  return new ThawError('INVALID_IMAGE', `a layer that is said to have a table of contents ${why}`);
}
