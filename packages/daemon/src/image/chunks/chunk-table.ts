import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { PlacedChunk } from '../erofs/write-skeleton.ts';
import type { ChunkRef } from './chunk-ref.ts';

/**
 * The chunks of an image in the order of their place, as columns in one piece of memory: it is written to a file as it
 * is, read back as it is, and shared between threads as it is. Little endian, every column aligned to 8 bytes.
 */
const MAGIC = 0x314b4854;
const HEADER_BYTES = 32;
const DIGEST_BYTES = 32;

export interface TableSizes {
  /** Of the whole image. */
  readonly imageBytes: number;
  /** Of the metadata before the first file. */
  readonly skeletonBytes: number;
}

export class ChunkTable {
  readonly memory: ArrayBuffer | SharedArrayBuffer;
  readonly count: number;
  readonly imageBytes: number;
  readonly skeletonBytes: number;
  readonly #places: Float64Array;
  readonly #blobOffsets: Float64Array;
  readonly #sizes: Uint32Array;
  readonly #blobLengths: Uint32Array;
  readonly #layers: Uint32Array;
  readonly #digests: Uint8Array;

  /** Throws STORE_FAILED when the memory holds no table. */
  constructor(memory: ArrayBuffer | SharedArrayBuffer) {
    const header = new DataView(memory, 0, Math.min(memory.byteLength, HEADER_BYTES));
    const isTable = memory.byteLength >= HEADER_BYTES && header.getUint32(0, true) === MAGIC;
    this.count = isTable ? header.getUint32(4, true) : 0;
    if (!isTable || memory.byteLength !== tableBytes(this.count))
      throw new ThawError('STORE_FAILED', 'a stored table of chunks is damaged');
    this.memory = memory;
    this.imageBytes = header.getFloat64(8, true);
    this.skeletonBytes = header.getFloat64(16, true);
    const { places, blobOffsets, sizes, blobLengths, layers, digests } = columns(this.count);
    this.#places = new Float64Array(memory, places, this.count);
    this.#blobOffsets = new Float64Array(memory, blobOffsets, this.count);
    this.#sizes = new Uint32Array(memory, sizes, this.count);
    this.#blobLengths = new Uint32Array(memory, blobLengths, this.count);
    this.#layers = new Uint32Array(memory, layers, this.count);
    this.#digests = new Uint8Array(memory, digests, this.count * DIGEST_BYTES);
  }

  static of(chunks: readonly PlacedChunk[], { imageBytes, skeletonBytes }: TableSizes): ChunkTable {
    const memory = new ArrayBuffer(tableBytes(chunks.length));
    const header = new DataView(memory);
    header.setUint32(0, MAGIC, true);
    header.setUint32(4, chunks.length, true);
    header.setFloat64(8, imageBytes, true);
    header.setFloat64(16, skeletonBytes, true);
    const table = new ChunkTable(memory);
    for (const [index, chunk] of chunks.entries()) {
      table.#places[index] = chunk.at;
      table.#blobOffsets[index] = chunk.blobOffset;
      table.#sizes[index] = chunk.size;
      table.#blobLengths[index] = chunk.blobLength;
      table.#layers[index] = chunk.layer;
      table.#digests.set(Buffer.from(chunk.digest, 'hex'), index * DIGEST_BYTES);
    }
    return table;
  }

  /** SHA-256, in hexadecimal, of what is where in the image, wherever it comes from. */
  layoutDigest(): string {
    const sizes = Float64Array.of(this.imageBytes, this.skeletonBytes);
    const digest = createHash('sha256').update(sizes);
    for (const column of [this.#places, this.#sizes, this.#digests]) digest.update(column);
    return digest.digest('hex');
  }

  /** The first chunk that ends behind this byte of the image; `count` when none does. */
  firstEndingAfter(position: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.place(middle) + this.size(middle) > position) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  place(index: number): number {
    return at(this.#places, index);
  }

  size(index: number): number {
    return at(this.#sizes, index);
  }

  packedSize(index: number): number {
    return at(this.#blobLengths, index);
  }

  blobOffset(index: number): number {
    return at(this.#blobOffsets, index);
  }

  layer(index: number): number {
    return at(this.#layers, index);
  }

  digest(index: number): string {
    assert(index >= 0 && index < this.count);
    const { buffer, byteOffset } = this.#digests;
    return Buffer.from(buffer, byteOffset + index * DIGEST_BYTES, DIGEST_BYTES).toString('hex');
  }

  /** `blobs` are the digests of the layers' blobs, in the order of the layers. */
  ref(index: number, blobs: readonly string[]): ChunkRef {
    const blob = blobs[this.layer(index)];
    assert(blob !== undefined);
    return {
      digest: this.digest(index),
      size: this.size(index),
      blob,
      blobOffset: this.blobOffset(index),
      blobLength: this.packedSize(index),
    };
  }

  /** The same table in memory that threads share. */
  shared(): ChunkTable {
    const memory = new SharedArrayBuffer(this.memory.byteLength);
    new Uint8Array(memory).set(new Uint8Array(this.memory));
    return new ChunkTable(memory);
  }
}

function columns(
  count: number,
): Record<'places' | 'blobOffsets' | 'sizes' | 'blobLengths' | 'layers' | 'digests' | 'end', number> {
  const narrow = Math.ceil(count / 2) * 8;
  const places = HEADER_BYTES;
  const blobOffsets = places + count * 8;
  const sizes = blobOffsets + count * 8;
  const blobLengths = sizes + narrow;
  const layers = blobLengths + narrow;
  const digests = layers + narrow;
  return { places, blobOffsets, sizes, blobLengths, layers, digests, end: digests + count * DIGEST_BYTES };
}

function tableBytes(count: number): number {
  return columns(count).end;
}

function at(column: Float64Array | Uint32Array, index: number): number {
  const value = column[index];
  assert(value !== undefined);
  return value;
}
