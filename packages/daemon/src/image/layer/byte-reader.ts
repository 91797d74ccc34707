import { ThawError } from '@thaw/protocol/thaw-error.ts';

/** Exact reads from a stream of buffers, which may be cut anywhere. */
export class ByteReader {
  readonly #source: AsyncIterator<Buffer>;
  readonly #what: string;
  #current: Buffer = Buffer.alloc(0);
  #position = 0;

  /** `what` is for messages: "the layer sha256:…". */
  constructor(source: AsyncIterable<Buffer>, what: string) {
    this.#source = source[Symbol.asyncIterator]();
    this.#what = what;
  }

  /** How many bytes were taken so far. */
  get position(): number {
    return this.#position;
  }

  /** Exactly so many bytes, or undefined at a clean end; an end in between is refused with INVALID_IMAGE. */
  async read(size: number): Promise<Buffer | undefined> {
    const parts: Buffer[] = [];
    let missing = size;
    while (missing > 0) {
      const part = await this.some(missing);
      if (part === undefined) break;
      parts.push(part);
      missing -= part.length;
    }
    if (missing === size && size > 0) return undefined;
    if (missing > 0) throw this.endedEarly();
    const [only] = parts;
    return parts.length === 1 && only !== undefined ? only : Buffer.concat(parts, size);
  }

  async require(size: number): Promise<Buffer> {
    const bytes = await this.read(size);
    if (bytes === undefined) {
      if (size === 0) return Buffer.alloc(0);
      throw this.endedEarly();
    }
    return bytes;
  }

  /** What is there, at most so many bytes; undefined at the end. */
  async some(sizeMax: number): Promise<Buffer | undefined> {
    while (this.#current.length === 0) {
      const next = await this.#source.next();
      if (next.done === true) return undefined;
      this.#current = next.value;
    }
    const part = this.#current.subarray(0, sizeMax);
    this.#current = this.#current.subarray(part.length);
    this.#position += part.length;
    return part;
  }

  async close(): Promise<void> {
    await this.#source.return?.();
  }

  endedEarly(): ThawError {
    return new ThawError('INVALID_IMAGE', `${this.#what} ends in the middle, at byte ${this.#position}`);
  }
}
