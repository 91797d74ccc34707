import { AnswerError } from './answer-error.ts';

/** Of a chunk's length: 2^52 bytes, which no number here loses anything of. */
const SIZE_DIGITS_MAX = 13;
/** Extensions of chunks and the trailer are read past; together they may have so many bytes. */
const IGNORED_BYTES_MAX = 64 * 1024;
const CR = 13;
const LF = 10;

type Expected =
  | 'size'
  | 'extension'
  | 'sizeLf'
  | 'data'
  | 'dataCr'
  | 'dataLf'
  | 'lineStart'
  | 'line'
  | 'lineLf'
  | 'lastLf';

/**
 * Takes a body out of its chunks (RFC 9112, section 7.1), however they are cut on the way. Extensions and trailers are
 * dropped, as a proxy may.
 *
 * ```
 * size ─▶ (extension) ─▶ sizeLf ─▶ data ─▶ dataCr ─▶ dataLf ─▶ size …
 *                           └ 0 ─▶ lineStart ─▶ line ─▶ lineLf ─▶ lineStart …      trailers
 *                                      └ CR ─▶ lastLf ─▶ end
 * ```
 */
export class ChunkedBody {
  #expected: Expected = 'size';
  #size = 0;
  #sizeDigits = 0;
  #ignoredBytes = 0;
  #isComplete = false;

  /** The empty line after the trailers has come. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /**
   * Reads `bytes` from `start` to `end`, calls back with where data begins and ends, and gives the place behind what
   * belongs to the body. Throws AnswerError.
   */
  read(bytes: Buffer, start: number, end: number, onData: (from: number, to: number) => void): number {
    let at = start;
    while (at < end && !this.#isComplete) {
      if (this.#expected === 'data') {
        const dataEnd = Math.min(end, at + this.#size);
        this.#size -= dataEnd - at;
        if (this.#size === 0) this.#expected = 'dataCr';
        onData(at, dataEnd);
        at = dataEnd;
      } else {
        this.#take(bytes[at] ?? 0);
        at += 1;
      }
    }
    return at;
  }

  #take(byte: number): void {
    switch (this.#expected) {
      case 'size':
        this.#takeSize(byte);
        return;
      case 'extension':
        if (byte === CR) this.#expected = 'sizeLf';
        else this.#ignore(byte);
        return;
      case 'sizeLf':
        this.#require(byte, LF);
        this.#expected = this.#size === 0 ? 'lineStart' : 'data';
        this.#sizeDigits = 0;
        return;
      case 'dataCr':
        this.#require(byte, CR);
        this.#expected = 'dataLf';
        return;
      case 'dataLf':
        this.#require(byte, LF);
        this.#expected = 'size';
        return;
      case 'lineStart':
      case 'line':
        if (byte !== CR) {
          this.#ignore(byte);
          this.#expected = 'line';
        } else {
          this.#expected = this.#expected === 'line' ? 'lineLf' : 'lastLf';
        }
        return;
      case 'lineLf':
        this.#require(byte, LF);
        this.#expected = 'lineStart';
        return;
      case 'lastLf':
        this.#require(byte, LF);
        this.#isComplete = true;
        return;
      case 'data':
        throw new Error('data is not read byte by byte');
    }
  }

  #takeSize(byte: number): void {
    const digit = hexDigit(byte);
    if (digit !== undefined && this.#sizeDigits < SIZE_DIGITS_MAX) {
      this.#size = this.#size * 16 + digit;
      this.#sizeDigits += 1;
      return;
    }
    const isEnd = byte === CR || byte === SEMICOLON || byte === SPACE || byte === TAB;
    if (this.#sizeDigits === 0 || !isEnd) throw new AnswerError('a chunk of its body has no valid length');
    this.#expected = byte === CR ? 'sizeLf' : 'extension';
  }

  #ignore(byte: number): void {
    this.#ignoredBytes += 1;
    if (byte === LF || this.#ignoredBytes > IGNORED_BYTES_MAX)
      throw new AnswerError('what stands between the chunks of its body is not valid or too long');
  }

  #require(byte: number, wanted: number): void {
    if (byte !== wanted) throw new AnswerError('a chunk of its body does not end where it should');
  }
}

const SEMICOLON = 59;
const SPACE = 32;
const TAB = 9;

function hexDigit(byte: number): number | undefined {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 0x20;
  return lower >= 97 && lower <= 102 ? lower - 87 : undefined;
}
