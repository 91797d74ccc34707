import { smallHeadOf, type SmallHead } from './small-request.ts';

/** Longer ones are read anew each time: connections are many, and most are idle. */
const HEAD_BYTES_MAX = 2048;
const GRAIN_BYTES = 256;
/** A caller that has sent so many different heads in a row will send the next. */
const MISSES_MAX = 8;

/**
 * The last head that came over a connection. Callers who call again send the same head with another body, and to see that
 * it is the same costs a tenth of reading it.
 */
export class HeadMemory {
  #head: SmallHead | undefined;
  #bytes: Buffer | undefined;
  #misses = 0;

  /** As `smallHeadOf`. */
  headOf(bytes: Buffer): SmallHead | undefined {
    const last = this.#head;
    if (last !== undefined && bytes.length >= last.headBytes && this.#isSame(bytes, last.headBytes)) {
      this.#misses = 0;
      return last;
    }
    const head = smallHeadOf(bytes);
    if (head !== undefined && this.#misses < MISSES_MAX) this.#remember(head, bytes);
    return head;
  }

  #isSame(bytes: Buffer, headBytes: number): boolean {
    return this.#bytes?.compare(bytes, 0, headBytes, 0, headBytes) === 0;
  }

  #remember(head: SmallHead, bytes: Buffer): void {
    this.#misses += 1;
    this.#head = undefined;
    if (head.headBytes > HEAD_BYTES_MAX || this.#misses === MISSES_MAX) {
      this.#bytes = undefined;
      return;
    }
    if (this.#bytes === undefined || this.#bytes.length < head.headBytes) {
      // Not of the pool, a piece of which keeps the whole.
      this.#bytes = Buffer.allocUnsafeSlow(Math.ceil(head.headBytes / GRAIN_BYTES) * GRAIN_BYTES);
    }
    bytes.copy(this.#bytes, 0, 0, head.headBytes);
    this.#head = head;
  }
}
