import type { PackedChunk, PlainUse } from './unpack-chunks.ts';

/** Chunks as columns: thousands of small objects take longer to pass than to unpack. */
export interface UnpackRequest {
  readonly packed: Uint8Array;
  /** Of all chunks, behind each other. */
  readonly digests: string;
  /** Of each chunk: where it begins, how long it is, how long when it is unpacked, and where it is written. */
  readonly places: Float64Array<ArrayBuffer>;
  readonly use: PlainUse;
}

const DIGEST_CHARACTERS = 64;
const NUMBERS = 4;

export function unpackRequest(
  packed: Uint8Array,
  chunks: readonly PackedChunk[],
  use: PlainUse,
): UnpackRequest {
  const places = new Float64Array(chunks.length * NUMBERS);
  let column = 0;
  for (const { at, length, size, offset } of chunks) {
    places[column] = at;
    places[column + 1] = length;
    places[column + 2] = size;
    places[column + 3] = offset;
    column += NUMBERS;
  }
  return { packed, digests: chunks.map(({ digest }) => digest).join(''), places, use };
}

export function chunksOf({ digests, places }: UnpackRequest): PackedChunk[] {
  return Array.from({ length: places.length / NUMBERS }, (_, index) => {
    const [at = 0, length = 0, size = 0, offset = -1] = places.subarray(
      index * NUMBERS,
      (index + 1) * NUMBERS,
    );
    const digest = digests.slice(index * DIGEST_CHARACTERS, (index + 1) * DIGEST_CHARACTERS);
    return { at, length, size, digest, offset };
  });
}
