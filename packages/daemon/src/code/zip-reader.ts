import { read } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { RandomAccessReader } from 'yauzl';

/** The directory of a zip is read in pieces of this size rather than entry by entry. */
const WINDOW_BYTES = 64 * 1024;

/**
 * Lets yauzl read a zip through a handle that we own. It refuses positions outside the file before `fs.read` would
 * throw: offsets come from the zip, and yauzl reads in callbacks, where a throw would end the process.
 */
export class ZipReader extends RandomAccessReader {
  readonly #fd: number;
  readonly #size: number;
  #window: Buffer = Buffer.alloc(0);
  #windowAt = 0;

  constructor(handle: FileHandle, size: number) {
    super();
    this.#fd = handle.fd;
    this.#size = size;
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null, bytesRead?: number) => void,
  ): void {
    if (!this.#isInside(position, length)) {
      setImmediate(callback, new Error(`a part lies outside the file, at ${position}`));
      return;
    }
    const from = position - this.#windowAt;
    if (from >= 0 && from + length <= this.#window.length) {
      this.#window.copy(buffer, offset, from, from + length);
      setImmediate(callback, null, length);
      return;
    }
    const window = Buffer.allocUnsafe(Math.min(Math.max(length, WINDOW_BYTES), this.#size - position));
    read(this.#fd, window, 0, window.length, position, (error, bytesRead) => {
      if (error !== null) {
        callback(error);
        return;
      }
      this.#window = window.subarray(0, bytesRead);
      this.#windowAt = position;
      this.#window.copy(buffer, offset, 0, length);
      callback(null, Math.min(length, bytesRead));
    });
  }

  override _readStreamForRange(start: number, end: number): Readable {
    const fd = this.#fd;
    let position = start;
    return new Readable({
      highWaterMark: WINDOW_BYTES,
      read(size) {
        const length = Math.min(size, end - position);
        if (length <= 0) {
          this.push(null);
          return;
        }
        const chunk = Buffer.allocUnsafe(length);
        read(fd, chunk, 0, length, position, (error, bytesRead) => {
          if (error !== null) {
            this.destroy(error);
            return;
          }
          position += bytesRead;
          this.push(bytesRead === 0 ? null : chunk.subarray(0, bytesRead));
        });
      },
    });
  }

  #isInside(position: number, length: number): boolean {
    return Number.isSafeInteger(position) && position >= 0 && position + length <= this.#size;
  }
}
