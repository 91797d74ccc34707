import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { ByteReader } from './byte-reader.ts';
import { FOOTER_BYTES, tocOffsetOf } from './estargz-footer.ts';
import type { LayerEntry } from './layer-entry.ts';
import { nextTarEntry } from './tar-reader.ts';
import { parseToc, TOC_NAME } from './toc.ts';

/** Where a manifest says which table of contents an eStargz layer has. */
export const TOC_DIGEST_ANNOTATION = 'containerd.io/snapshot/stargz/toc.digest';
const TOC_BYTES_MAX = 256 * 1024 * 1024;
const gunzipAsync = promisify(gunzip);

export interface EstargzBlob {
  readonly size: number;
  /** The bytes from `start` up to, not with, `end`. */
  readRange(start: number, end: number): Promise<Buffer>;
}

/**
 * What is in an eStargz blob, by two reads at its end. `tocDigest` is that of the layer's annotation. Throws
 * IMAGE_CORRUPT where table and digest differ, INVALID_IMAGE where the blob is no eStargz that can be mounted.
 */
export async function readEstargz(blob: EstargzBlob, tocDigest: string): Promise<LayerEntry[]> {
  const tocOffset = await findToc(blob);
  const packed = await blob.readRange(tocOffset, blob.size - FOOTER_BYTES);
  const json = await unpackToc(packed);
  const digest = `sha256:${createHash('sha256').update(json).digest('hex')}`;
  if (digest !== tocDigest)
    throw new ThawError(
      'IMAGE_CORRUPT',
      `the table of contents of a layer is ${digest}, expected ${tocDigest}`,
    );
  return parseToc(json, tocOffset);
}

async function findToc(blob: EstargzBlob): Promise<number> {
  const { size } = blob;
  if (size <= FOOTER_BYTES) throw notEstargz('is too short');
  const tocOffset = tocOffsetOf(await blob.readRange(size - FOOTER_BYTES, size));
  if (tocOffset === undefined) throw notEstargz('has no footer');
  if (tocOffset >= size - FOOTER_BYTES) throw notEstargz('has a footer that points behind the end');
  if (size - tocOffset > TOC_BYTES_MAX) throw notEstargz('has a table of contents that is too large');
  return tocOffset;
}

async function unpackToc(packed: Buffer): Promise<Buffer> {
  let tar: Buffer;
  try {
    tar = await gunzipAsync(packed, { maxOutputLength: TOC_BYTES_MAX });
  } catch (cause) {
    throw new ThawError('INVALID_IMAGE', 'the table of contents of a layer cannot be unpacked', { cause });
  }
  const reader = new ByteReader(single(tar), 'the table of contents of a layer');
  const entry = await nextTarEntry(reader, new Map());
  if (entry?.path !== TOC_NAME) throw notEstargz('has no table of contents at its end');
  return reader.require(entry.size);
}

async function* single(bytes: Buffer): AsyncGenerator<Buffer> {
  yield await Promise.resolve(bytes);
}

function notEstargz(why: string): ThawError {
  return new ThawError('INVALID_IMAGE', `a layer that calls itself eStargz ${why}`);
}
