import { hash } from 'node:crypto';
import { constants, gunzipSync, inflateRawSync, zstdDecompressSync } from 'node:zlib';
import { usedBuffer } from '../../base/buffer-garbage.ts';
import type { ChunkRef } from '../chunks/chunk-ref.ts';
import { writeRunsSync, type PlacedBytes } from './segment-runs.ts';

/** Which bytes of a piece of a blob are a chunk, what it must be, and where in the segment it is written. */
export interface PackedChunk extends Pick<ChunkRef, 'digest' | 'size'> {
  readonly at: number;
  readonly length: number;
  /** Below 0 where nothing is to be written. */
  readonly offset: number;
}

/** What becomes of the plain bytes. */
export interface PlainUse {
  /** They are given back. */
  readonly isWanted: boolean;
  /** They are written to this segment, each to its offset, if it is no negative number. */
  readonly descriptor: number;
}

export interface UnpackedChunks {
  /** Those that are wanted behind each other; the bytes of one that is not what its digest says mean nothing. */
  readonly plain: ArrayBuffer | undefined;
  readonly isRight: readonly boolean[];
  /** Why they are not in the segment. */
  readonly failure: { readonly code: string; readonly message: string } | undefined;
}

/** Behind a chunk's own bytes its last member may hold the padding and headers of the next files. */
const BEHIND_BYTES_MAX = 4 * 1024 * 1024;
/** Of the output's room, beyond the chunk. */
const OUTPUT_BYTES_MORE = 2048;
const PLAIN_HEADER_BYTES = 10;
/** The memory that a frame may ask for: 16 MiB, as large as a chunk may be. */
const ZSTD_PARAMETERS = { [constants.ZSTD_d_windowLogMax]: 24 };
/** So much is written at once: it is still in the processor's cache then. */
const WRITE_BYTES = 1024 * 1024;

/**
 * Unpacks chunks, compares them with their digests and writes those that are right to their places, in the thread that
 * calls. One that is neither gzip nor Zstandard, or far more than it should be, is wrong: a bomb is stopped at its
 * chunk's size.
 */
export function unpackChunks(
  packed: Uint8Array,
  chunks: readonly PackedChunk[],
  { isWanted, descriptor }: PlainUse,
): UnpackedChunks {
  const target = isWanted ? new Uint8Array(chunks.reduce((sum, { size }) => sum + size, 0)) : undefined;
  const segment = new SegmentWriter(descriptor);
  let end = 0;
  const isRight = chunks.map(({ at, length, size, digest, offset }) => {
    const start = end;
    end += size;
    const plain = unpacked(packed.subarray(at, at + length), size);
    if (plain === undefined) return false;
    const isSame = hash('sha256', plain, 'hex') === digest;
    if (isSame) target?.set(plain, start);
    segment.add(plain, isSame ? offset : -1);
    return isSame;
  });
  segment.flush();
  return { plain: target?.buffer, isRight, failure: segment.failure };
}

/** What is written of one piece; after a failure nothing more is. */
class SegmentWriter {
  failure: UnpackedChunks['failure'];
  readonly #descriptor: number;
  #waiting: PlacedBytes[] = [];
  #waitingBytes = 0;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /** The bytes are given away; below 0 there is no place for them. */
  add(bytes: Buffer, offset: number): void {
    if (this.#descriptor < 0 || offset < 0) {
      free(bytes);
      return;
    }
    this.#waiting.push({ bytes, offset });
    this.#waitingBytes += bytes.length;
    if (this.#waitingBytes >= WRITE_BYTES) this.flush();
  }

  flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    if (this.failure === undefined && waiting.length > 0) {
      try {
        writeRunsSync(this.#descriptor, waiting);
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? String(error.code) : '';
        this.failure = { code, message: String(error) };
      }
    }
    for (const { bytes } of waiting) free(bytes);
  }
}

/**
 * Gives memory back at once that nobody else looks at: the next chunk then comes into the same, which the processor still
 * has in its cache, while waiting for the collector took new pages of the kernel for every chunk. Memory that may be
 * shared with other buffers, as Node shares it between small ones, is left to the collector.
 */
function free({ buffer, length }: Buffer): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === length + OUTPUT_BYTES_MORE) buffer.transfer(0);
  else usedBuffer(length + OUTPUT_BYTES_MORE);
}

/** Undefined where these are no members that hold so much. */
function unpacked(packed: Uint8Array, size: number): Buffer | undefined {
  const options = {
    // Room for all of it at once: zlib's steps of 16 KiB cost more than the inflating, and it is slow at the end.
    chunkSize: size + OUTPUT_BYTES_MORE,
    maxOutputLength: size + BEHIND_BYTES_MAX,
  };
  try {
    if (isZstd(packed)) return cut(zstdDecompressSync(packed, { ...options, params: ZSTD_PARAMETERS }), size);
    // The chunk is compared with its digest: a checksum of the member's would only be another tenth of the time.
    if (hasPlainHeader(packed)) {
      const first = cut(inflateRawSync(packed.subarray(PLAIN_HEADER_BYTES), options), size);
      if (first !== undefined) return first;
    }
    return cut(gunzipSync(packed, options), size);
  } catch {
    return undefined;
  }
}

function cut(plain: Buffer, size: number): Buffer | undefined {
  return plain.length >= size ? plain.subarray(0, size) : undefined;
}

/** A Zstandard frame (RFC 8878, section 3.1.1). */
function isZstd(packed: Uint8Array): boolean {
  return packed[0] === 0x28 && packed[1] === 0xb5 && packed[2] === 0x2f && packed[3] === 0xfd;
}

/** A gzip member (RFC 1952, section 2.3) without a name or anything else between header and data. */
function hasPlainHeader(packed: Uint8Array): boolean {
  return packed[0] === 0x1f && packed[1] === 0x8b && packed[2] === 8 && packed[3] === 0;
}
