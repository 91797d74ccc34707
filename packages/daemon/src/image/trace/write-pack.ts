import { createHash, hash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { promisify } from 'node:util';
import { constants, zstdCompress, type ZstdOptions } from 'node:zlib';
import type { ChunkRef } from '../chunks/chunk-ref.ts';
import { encodeIndex, planFrames, type PackPiece, type TracePack } from './trace-pack.ts';

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
): Promise<TracePack> {
  const blob = createHash('sha256');
  const frames: Omit<ChunkRef, 'blob'>[] = [];
  const pieces: PackPiece[] = [];
  let blobOffset = 0;
  let packed = 0;
  const put = async (plain: Buffer): Promise<Omit<ChunkRef, 'blob'>> => {
    const params = { [constants.ZSTD_c_compressionLevel]: LEVEL };
    const bytes = await compress(plain, { params, pledgedSrcSize: plain.length });
    blob.update(bytes);
    await writeAll(target, bytes, blobOffset);
    const digest = hash('sha256', plain, 'hex');
    const frame = { digest, size: plain.length, blobOffset, blobLength: bytes.length };
    blobOffset += bytes.length;
    return frame;
  };
  for (const [frame, ranges] of planFrames(blocks, imageBytes).entries()) {
    const plain = Buffer.alloc(ranges.reduce((sum, { size }) => sum + size, 0));
    let from = 0;
    for (const { place, size } of ranges) {
      await readAll(image, plain.subarray(from, from + size), place);
      pieces.push({ place, size, frame, from });
      from += size;
    }
    packed += plain.length;
    frames.push(await put(plain));
  }
  const inPlaces = pieces.toSorted((one, other) => one.place - other.place);
  const index = await put(encodeIndex({ layout, frames, pieces: inPlaces }));
  return { blob: `sha256:${blob.digest('hex')}`, size: blobOffset, imageBytes: packed, index };
}

async function readAll(file: PackSource['image'], target: Buffer, position: number): Promise<void> {
  for (let at = 0; at < target.length;) {
    const { bytesRead } = await file.read(target, at, target.length - at, position + at);
    if (bytesRead === 0) throw new Error('the image ends before its last block');
    at += bytesRead;
  }
}

async function writeAll(file: Pick<FileHandle, 'write'>, bytes: Buffer, position: number): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at, position + at);
    at += bytesWritten;
  }
}
