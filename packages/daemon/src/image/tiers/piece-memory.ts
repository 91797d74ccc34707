import { PIECE_BYTES_MAX } from './spans.ts';

/** What is kept for the next pieces while some are under way, and when none is. */
const FREE_MAX = 24;
const IDLE_MAX = 2;

/**
 * Memory for packed pieces on their way from a socket to a thread that unpacks: shared with that thread, and used again.
 * Memory of its own for each would be collected by the hundred megabytes, which takes longer than fetching them.
 */
export class PieceMemory {
  readonly #free: SharedArrayBuffer[] = [];
  readonly #taken = new Set<SharedArrayBuffer>();

  /** What stood there before may still be in it. */
  take(bytes: number): Uint8Array<SharedArrayBuffer> {
    const memory =
      (bytes <= PIECE_BYTES_MAX ? this.#free.pop() : undefined) ??
      new SharedArrayBuffer(Math.max(bytes, PIECE_BYTES_MAX));
    this.#taken.add(memory);
    return new Uint8Array(memory, 0, bytes);
  }

  /** Nobody looks at it any more. Memory that is not from here, or was given back before, is left alone. */
  giveBack({ buffer }: Uint8Array): void {
    if (!(buffer instanceof SharedArrayBuffer) || !this.#taken.delete(buffer)) return;
    if (buffer.byteLength === PIECE_BYTES_MAX && this.#free.length < FREE_MAX) this.#free.push(buffer);
    if (this.#taken.size === 0) this.#free.splice(IDLE_MAX);
  }
}
