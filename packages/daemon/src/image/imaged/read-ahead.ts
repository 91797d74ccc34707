import type { ChunkTable } from '../chunks/chunk-table.ts';
import { GAP_BYTES_MAX } from '../tiers/spans.ts';

/** So much is asked for besides a chunk that is the first of its neighbours to be read: a round trip costs far more. */
const WINDOW_BYTES_MIN = 32 * 1024;
/** Behind chunks that were read one after the other the window is as large as what was read of them, up to this. */
const WINDOW_BYTES_MAX = 512 * 1024;
/** What was fetched and not read yet is this share of what was read, at the most, and at first so many bytes. */
const UNREAD_SHARE_MAX = 0.06;
const UNREAD_BYTES_FIRST = 128 * 1024;

export interface ReadAheadDeps {
  readonly table: ChunkTable;
  /** All chunks, in the order of the image's blobs. */
  readonly order: BlobOrder;
  readonly wasRead: (chunk: number) => boolean;
  readonly isHere: (chunk: number) => boolean;
}

/** Chunks in the order in which they lie in the layers' blobs, which is the one that files were packed in. */
export interface BlobOrder {
  readonly chunks: Uint32Array;
  /** By chunk: where it is in `chunks`. */
  readonly positions: Uint32Array;
}

/**
 * What to fetch besides a chunk that somebody waits for, where no trace says what comes next: the chunks behind it, as far
 * as guesses were right so far. It saves a quarter to a half of the round trips of a first start, and what it fetches in vain
 * stays within a few per cent of what is read.
 */
export class ReadAhead {
  readonly #deps: ReadAheadDeps;
  readonly #unread = new Set<number>();
  #unreadBytes = 0;
  #readBytes = 0;

  constructor(deps: ReadAheadDeps) {
    this.#deps = deps;
  }

  /** Chunks to fetch together with this one, in the order of its blob; all of them behind it. */
  behind(chunk: number): readonly number[] {
    const { table, order, isHere } = this.#deps;
    // Whoever comes to a guess that is still on its way has been counted with the guesses.
    const wasGuessed = this.#unread.has(chunk);
    this.#settle();
    if (!wasGuessed) this.#readBytes += table.packedSize(chunk);
    const found: number[] = [];
    let room = Math.min(this.#windowBehind(chunk), this.#budget);
    let last = chunk;
    for (let at = (order.positions[chunk] ?? order.chunks.length) + 1; at < order.chunks.length; at += 1) {
      const next = order.chunks[at];
      if (next === undefined || !this.#isNeighbour(last, next)) break;
      if (isHere(next) || this.#unread.has(next)) break;
      room -= table.packedSize(next);
      if (room < 0) break;
      found.push(next);
      this.#unread.add(next);
      this.#unreadBytes += table.packedSize(next);
      last = next;
    }
    return found;
  }

  get #budget(): number {
    return this.#readBytes * UNREAD_SHARE_MAX + UNREAD_BYTES_FIRST - this.#unreadBytes;
  }

  /** Guesses that were right give their bytes back. */
  #settle(): void {
    const { table, wasRead } = this.#deps;
    for (const chunk of this.#unread) {
      if (!wasRead(chunk)) continue;
      this.#unread.delete(chunk);
      this.#unreadBytes -= table.packedSize(chunk);
      this.#readBytes += table.packedSize(chunk);
    }
  }

  #windowBehind(chunk: number): number {
    const { table, order, wasRead } = this.#deps;
    let bytes = 0;
    let last = chunk;
    for (let at = (order.positions[chunk] ?? 0) - 1; at >= 0 && bytes < WINDOW_BYTES_MAX; at -= 1) {
      const before = order.chunks[at];
      if (before === undefined || !this.#isNeighbour(before, last) || !wasRead(before)) break;
      bytes += table.packedSize(before);
      last = before;
    }
    return Math.min(Math.max(bytes, WINDOW_BYTES_MIN), WINDOW_BYTES_MAX);
  }

  /** Whether one request gives both. */
  #isNeighbour(chunk: number, next: number): boolean {
    const { table } = this.#deps;
    const end = table.blobOffset(chunk) + table.packedSize(chunk);
    return table.layer(chunk) === table.layer(next) && table.blobOffset(next) - end <= GAP_BYTES_MAX;
  }
}

export function blobOrderOf(table: ChunkTable): BlobOrder {
  const chunks = Uint32Array.from({ length: table.count }, (_, chunk) => chunk).toSorted(
    (left, right) =>
      table.layer(left) - table.layer(right) || table.blobOffset(left) - table.blobOffset(right),
  );
  const positions = new Uint32Array(table.count);
  for (const [position, chunk] of chunks.entries()) positions[chunk] = position;
  return { chunks, positions };
}
