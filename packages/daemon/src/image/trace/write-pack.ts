import { createHash, hash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { promisify } from 'node:util';
import { constants, zstdCompress, type ZstdOptions } from 'node:zlib';
import type { ChunkRef } from '../chunks/chunk-ref.ts';
import { encodeIndex, planFrames, type IndexedPack, type PackPiece } from './trace-pack.ts';

/** As layers are packed: more would take ten times as long for a twentieth fewer bytes. */
const LEVEL = 9;
const compress = promisify<Buffer, ZstdOptions, Buffer>(zstdCompress);

export interface PackSource {
  /** The image's bytes. */
  readonly image: Pick<FileHandle, 'read'>;
  readonly imageBytes: number;
  readonly layout: string;
  /** Numbers of blocks, in the order of their first reads. */
  readonly blocks: Uint32Array;
}

/** Writes a pack to an empty file. Throws what reading and writing do. */
export async function writePack(
  { image, imageBytes, layout, blocks }: PackSource,
  target: Pick<FileHandle, 'write'>,
): Promise<IndexedPack> {
  const blob = createHash('sha256');
  const frames: Omit<ChunkRef, 'blob'>[] = [];
  const pieces: PackPiece[] = [];
  let size = 0;
  let packed = 0;
  for (const [frame, ranges] of planFrames(blocks, imageBytes).entries()) {
    const plain = Buffer.alloc(ranges.reduce((sum, range) => sum + range.size, 0));
    let from = 0;
    for (const range of ranges) {
      await readAll(image, plain.subarray(from, from + range.size), range.place);
      pieces.push({ ...range, frame, from });
      from += range.size;
    }
    const params = { [constants.ZSTD_c_compressionLevel]: LEVEL };
    const bytes = await compress(plain, { params, pledgedSrcSize: plain.length });
    blob.update(bytes);
    for (let at = 0; at < bytes.length;) at += (await target.write(bytes, at)).bytesWritten;
    const digest = hash('sha256', plain, 'hex');
    frames.push({ digest, size: plain.length, blobOffset: size, blobLength: bytes.length });
    size += bytes.length;
    packed += plain.length;
  }
  const inPlaces = pieces.toSorted((one, other) => one.place - other.place);
  const index = encodeIndex({ layout, frames, pieces: inPlaces });
  return { blob: `sha256:${blob.digest('hex')}`, size, imageBytes: packed, index };
}

async function readAll(file: PackSource['image'], target: Buffer, position: number): Promise<void> {
  for (let at = 0; at < target.length;) {
    const { bytesRead } = await file.read(target, at, target.length - at, position + at);
    if (bytesRead === 0) throw new Error('the image ends before its last block');
    at += bytesRead;
  }
}
