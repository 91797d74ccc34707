import { hash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import type { ChunkRef } from '../chunks/chunk-ref.ts';

/** Which bytes of a piece of a blob are a chunk, and what it must be. */
export interface PackedChunk extends Pick<ChunkRef, 'digest' | 'size'> {
  readonly at: number;
  readonly length: number;
}

/** Plain bytes behind each other, with 0 for each chunk that is not what its digest says; its bytes mean nothing. */
export interface UnpackedChunks {
  readonly plain: ArrayBuffer;
  readonly isRight: readonly boolean[];
}

/** Behind a chunk's own bytes its last member may hold the padding and headers of the next files. */
const BEHIND_BYTES_MAX = 4 * 1024 * 1024;
/** What zlib takes. */
const OUTPUT_BYTES_MIN = 64;

/**
 * Inflates chunks and compares them with their digests, in the thread that calls. One that is no gzip, or far more than
 * it should be, is wrong: a bomb is stopped at its chunk's size.
 */
export function unpackChunks(packed: Uint8Array, chunks: readonly PackedChunk[]): UnpackedChunks {
  const target = new Uint8Array(chunks.reduce((sum, { size }) => sum + size, 0));
  let end = 0;
  const isRight = chunks.map(({ at, length, size, digest }) => {
    const start = end;
    end += size;
    const plain = inflated(packed.subarray(at, at + length), size);
    if (plain === undefined || hash('sha256', plain, 'hex') !== digest) return false;
    target.set(plain, start);
    return true;
  });
  return { plain: target.buffer, isRight };
}

function inflated(packed: Uint8Array, size: number): Buffer | undefined {
  try {
    // Room for all of it at once: zlib's steps of 16 KiB cost more than the inflating.
    const chunkSize = Math.max(OUTPUT_BYTES_MIN, size + 1);
    const plain = gunzipSync(packed, { chunkSize, maxOutputLength: size + BEHIND_BYTES_MAX });
    return plain.length >= size ? plain.subarray(0, size) : undefined;
  } catch {
    return undefined;
  }
}
