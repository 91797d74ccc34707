import { createHash, hash, type Hash } from 'node:crypto';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { isEqualText } from '../../gateway/signature/equal-text.ts';
import { hmac } from '../../gateway/signature/sigv4.ts';

const LINE_BYTES_MAX = 8 * 1024;
const TRAILERS_MAX = 32;
const EMPTY_SHA256 = hash('sha256', '');

/** What the chunks are signed with: each signature covers the one before it, the first that of the head. */
export interface ChunkSigning {
  readonly key: Buffer;
  readonly date: string;
  readonly scope: string;
  readonly seed: string;
}

/**
 * The body inside `Content-Encoding: aws-chunked`: chunks with their size in hex, signed or not, and trailers behind them.
 * A signature is checked when its chunk has passed: whoever takes the bytes throws them away when the end throws.
 * Throws BODY_TRUNCATED, SIGNATURE_INVALID, INVALID_ARGUMENT.
 */
export async function* decodeAwsChunked(
  source: AsyncIterable<Uint8Array>,
  signing: ChunkSigning | undefined,
  onTrailer: (name: string, value: string) => void,
): AsyncGenerator<Buffer> {
  const input = new Input(source);
  const signatures = signing === undefined ? undefined : new Signatures(signing);
  for (;;) {
    const [sizeText = '', ...extensions] = (await input.line()).split(';');
    if (!/^[0-9a-f]{1,8}$/i.test(sizeText)) throw malformed('a chunk begins with its size in hex');
    const size = Number.parseInt(sizeText, 16);
    signatures?.begin(extensions.find((text) => text.startsWith('chunk-signature='))?.slice(16));
    for (let left = size; left > 0;) {
      const bytes = await input.some(left);
      left -= bytes.length;
      signatures?.update(bytes);
      yield bytes;
    }
    signatures?.end();
    if (size === 0) break;
    if ((await input.line()) !== '') throw malformed('a chunk ends with its line');
  }
  let trailers = '';
  for (let count = 0; ; count++) {
    const line = await input.lineOrEnd();
    if (line === undefined || line === '') break;
    if (count >= TRAILERS_MAX) throw malformed('there are too many trailers');
    const at = line.indexOf(':');
    const name = line.slice(0, at).trim().toLowerCase();
    const value = line.slice(at + 1).trim();
    if (name === 'x-amz-trailer-signature') {
      signatures?.requireTrailers(trailers, value);
      trailers = '';
      continue;
    }
    trailers += `${name}:${value}\n`;
    onTrailer(name, value);
  }
  if (signatures !== undefined && trailers !== '')
    throw malformed('the trailers of signed chunks must be signed');
  await input.drain();
}

class Signatures {
  readonly #signing: ChunkSigning;
  #previous: string;
  #claimed = '';
  #hash: Hash | undefined;

  constructor(signing: ChunkSigning) {
    this.#signing = signing;
    this.#previous = signing.seed;
  }

  begin(claimed: string | undefined): void {
    if (claimed === undefined) throw malformed('a chunk has no signature');
    this.#claimed = claimed;
    this.#hash = createHash('sha256');
  }

  update(bytes: Buffer): void {
    this.#hash?.update(bytes);
  }

  end(): void {
    const digest = this.#hash?.digest('hex') ?? EMPTY_SHA256;
    this.#require('AWS4-HMAC-SHA256-PAYLOAD', `${EMPTY_SHA256}\n${digest}`, this.#claimed);
  }

  requireTrailers(trailers: string, claimed: string): void {
    this.#require('AWS4-HMAC-SHA256-TRAILER', hash('sha256', trailers), claimed);
  }

  #require(algorithm: string, covered: string, claimed: string): void {
    const { key, date, scope } = this.#signing;
    const text = `${algorithm}\n${date}\n${scope}\n${this.#previous}\n${covered}`;
    if (!isEqualText(hmac(key, text).toString('hex'), claimed))
      throw new ThawError('SIGNATURE_INVALID', 'the signature of a chunk is not that of its bytes');
    this.#previous = claimed;
  }
}

/** Lines and stretches of bytes out of whatever pieces come. */
class Input {
  readonly #source: AsyncIterator<Uint8Array>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  async line(): Promise<string> {
    const line = await this.lineOrEnd();
    if (line === undefined) throw truncated();
    return line;
  }

  /** Undefined where the body ends before another line begins. */
  async lineOrEnd(): Promise<string | undefined> {
    for (;;) {
      const end = this.#rest.indexOf('\r\n');
      if (end !== -1) {
        const line = this.#rest.toString('latin1', 0, end);
        this.#rest = this.#rest.subarray(end + 2);
        return line;
      }
      if (this.#rest.length > LINE_BYTES_MAX) throw malformed('a line is too long');
      if (await this.#more()) continue;
      if (this.#rest.length > 0) throw truncated();
      return undefined;
    }
  }

  /** At least one byte, at most so many. */
  async some(bytesMax: number): Promise<Buffer> {
    if (this.#rest.length === 0 && !(await this.#more())) throw truncated();
    const bytes = this.#rest.subarray(0, bytesMax);
    this.#rest = this.#rest.subarray(bytes.length);
    return bytes;
  }

  async drain(): Promise<void> {
    if (this.#rest.length > 0 || (await this.#more())) throw malformed('there is more behind the last chunk');
  }

  async #more(): Promise<boolean> {
    for (;;) {
      const { done, value } = await this.#source.next();
      if (done === true) return false;
      if (value.length === 0) continue;
      const bytes = Buffer.from(value.buffer, value.byteOffset, value.length);
      this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
      return true;
    }
  }
}

function truncated(): ThawError {
  return new ThawError('BODY_TRUNCATED', 'the body ended before its last chunk');
}

function malformed(what: string): ThawError {
  return new ThawError('INVALID_ARGUMENT', `the body is not aws-chunked: ${what}`, {
    details: { s3Code: 'InvalidRequest' },
  });
}
