import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import * as z from 'zod';
import type { ChunkRef } from '../chunks/chunk-ref.ts';

/**
 * A pack holds what the starts of one function version read of an image, block by block in the order of first reads: a
 * chunk is fetched whole though a program touches a few pages of it, a block is not. It is a blob of frames behind
 * each other, each a Zstandard frame that is compared and kept like a chunk. Its index stays with the trace.
 */
export const BLOCK_BYTES = 16 * 1024;
/** Plain bytes of a frame at most: larger ones pack better, and whoever waits for a block waits for its frame. */
const FRAME_BYTES_MAX = 1024 * 1024;
/**
 * Blocks read within so much of each other are put in the order of their places: neighbours pack better. At first it is
 * little, since those who read it wait for all that comes before it.
 */
const FIRST_WINDOW_BYTES = 128 * 1024;
const WINDOW_BYTES_MAX = 4 * 1024 * 1024;
/** What a pack may hold. */
export const PACK_BYTES_MAX = 4 * 1024 ** 3;
/** Of an index, as it is kept and in full. */
export const INDEX_BYTES_MAX = 1024 * 1024;
const INDEX_PLAIN_BYTES_MAX = 16 * 1024 * 1024;
const PIECES_MAX = 2 ** 20;
const FRAME_LENGTH_MAX = 2 * FRAME_BYTES_MAX;

const DIGEST = z.string().regex(/^sha256:[0-9a-f]{64}$/u);
const HEX = z.string().regex(/^[0-9a-f]{64}$/u);
const COUNT = z.number().int().min(0);

/** Where a pack is. */
export const TRACE_PACK = z.object({
  blob: DIGEST,
  /** Bytes of the blob. */
  size: COUNT,
  /** Plain bytes that it holds of the image. */
  imageBytes: COUNT,
});
export type TracePack = z.output<typeof TRACE_PACK>;

/** A pack with what tells what it holds, as `encodeIndex` writes it. */
export interface IndexedPack extends TracePack {
  readonly index: Uint8Array;
}

/** A range of the image, and where in the pack it is. */
export interface PackPiece {
  /** Of the image. */
  readonly place: number;
  readonly size: number;
  readonly frame: number;
  /** In the frame. */
  readonly from: number;
}

export interface PackIndex {
  /** Of the image's table of chunks: the same place means other bytes in another table. */
  readonly layout: string;
  readonly frames: readonly Omit<ChunkRef, 'blob'>[];
  /** In the order of their places, none over another. */
  readonly pieces: readonly PackPiece[];
}

/** Tuples in the order of the fields above. */
const INDEX = z.object({
  layout: HEX,
  frames: z.array(
    z.tuple([HEX, COUNT.min(1).max(FRAME_BYTES_MAX), COUNT, COUNT.min(1).max(FRAME_LENGTH_MAX)]),
  ),
  pieces: z.array(z.tuple([COUNT, COUNT.min(1), COUNT, COUNT])).max(PIECES_MAX),
});

interface ImageRange {
  readonly place: number;
  readonly size: number;
}

/**
 * Which ranges of the image each frame holds, one behind the other. `blocks` are numbers of blocks in the order of their
 * first reads; `imageBytes` ends the last one.
 */
export function planFrames(blocks: Uint32Array, imageBytes: number): readonly (readonly ImageRange[])[] {
  const frames: (readonly ImageRange[])[] = [];
  let windowBytes = FIRST_WINDOW_BYTES;
  for (let at = 0; at < blocks.length;) {
    const end = at + windowBytes / BLOCK_BYTES;
    frames.push(...framesOf(blocks.slice(at, end).toSorted(), imageBytes));
    at = end;
    windowBytes = Math.min(WINDOW_BYTES_MAX, windowBytes * 2);
  }
  return frames;
}

/** Of blocks in the order of their places. */
function framesOf(blocks: Uint32Array, imageBytes: number): readonly (readonly ImageRange[])[] {
  const frames: { place: number; size: number }[][] = [];
  let left = 0;
  for (const block of blocks) {
    const place = block * BLOCK_BYTES;
    const size = Math.min(BLOCK_BYTES, imageBytes - place);
    if (size > left) {
      frames.push([]);
      left = FRAME_BYTES_MAX;
    }
    left -= size;
    const ranges = frames.at(-1);
    const last = ranges?.at(-1);
    if (last !== undefined && last.place + last.size === place) last.size += size;
    else ranges?.push({ place, size });
  }
  return frames;
}

export function encodeIndex({ layout, frames, pieces }: PackIndex): Buffer {
  const index: z.input<typeof INDEX> = {
    layout,
    frames: frames.map(({ digest, size, blobOffset, blobLength }) => [digest, size, blobOffset, blobLength]),
    pieces: pieces.map(({ place, size, frame, from }) => [place, size, frame, from]),
  };
  return zstdCompressSync(JSON.stringify(index));
}

/** Throws IMAGE_CORRUPT for what is no index of a pack, or not of an image with this layout. */
export function decodeIndex(bytes: Uint8Array, layout: string): PackIndex {
  const parsed = INDEX.safeParse(jsonIn(bytes));
  if (!parsed.success) throw corrupt('is none', parsed.error);
  if (parsed.data.layout !== layout) throw corrupt('is of an image that was laid out otherwise');
  const frames = parsed.data.frames.map(([digest, size, blobOffset, blobLength]) => ({
    digest,
    size,
    blobOffset,
    blobLength,
  }));
  const pieces = parsed.data.pieces.map(([place, size, frame, from]) => ({ place, size, frame, from }));
  let end = 0;
  for (const { place, size, frame, from } of pieces) {
    if (place < end) throw corrupt('has pieces that are not in their order');
    if (from + size > (frames[frame]?.size ?? 0)) throw corrupt('has pieces outside of their frames');
    end = place + size;
  }
  return { layout, frames, pieces };
}

function corrupt(what: string, cause?: unknown): ThawError {
  return new ThawError('IMAGE_CORRUPT', `the index of a pack ${what}`, { cause });
}

function jsonIn(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(zstdDecompressSync(bytes, { maxOutputLength: INDEX_PLAIN_BYTES_MAX }).toString('utf8'));
  } catch {
    return undefined;
  }
}
