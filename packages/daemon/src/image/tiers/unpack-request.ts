import type { PackedChunk } from './unpack-chunks.ts';

/** Chunks as columns: thousands of small objects take longer to pass than to unpack. */
export interface UnpackRequest {
  readonly packed: Uint8Array<ArrayBuffer>;
  /** Of all chunks, behind each other. */
  readonly digests: string;
  /** Of each chunk: where it begins, how long it is, and how long when it is unpacked. */
  readonly places: Float64Array<ArrayBuffer>;
}

const DIGEST_CHARACTERS = 64;
const NUMBERS = 3;

export function unpackRequest(
  packed: Uint8Array<ArrayBuffer>,
  chunks: readonly PackedChunk[],
): UnpackRequest {
  const places = new Float64Array(chunks.length * NUMBERS);
  for (const [index, { at, length, size }] of chunks.entries())
    places.set([at, length, size], index * NUMBERS);
  return { packed, digests: chunks.map(({ digest }) => digest).join(''), places };
}

export function chunksOf({ digests, places }: UnpackRequest): PackedChunk[] {
  return Array.from({ length: places.length / NUMBERS }, (_, index) => {
    const [at = 0, length = 0, size = 0] = places.subarray(index * NUMBERS, (index + 1) * NUMBERS);
    const digest = digests.slice(index * DIGEST_CHARACTERS, (index + 1) * DIGEST_CHARACTERS);
    return { at, length, size, digest };
  });
}
