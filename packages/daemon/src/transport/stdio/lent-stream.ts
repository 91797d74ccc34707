import { Duplex } from 'node:stream';

/**
 * A process's stdin and stdout for the time of one request and its response. Node's HTTP client ends or destroys the
 * stream that it was given when it is done with it; this one takes that and leaves the process's own connection open.
 */
export class LentStream extends Duplex {
  readonly #lender: Duplex;

  constructor(lender: Duplex) {
    super();
    this.#lender = lender;
  }

  override _read(): void {
    this.#lender.resume();
  }

  /**
   * All of it at once: a request that stopped halfway because its response came early would put the process out of step.
   */
  override _write(chunk: Buffer, encoding: BufferEncoding, done: () => void): void {
    this.#lender.write(chunk, encoding);
    done();
  }

  /** Head and body leave together: programs that read once for a body are common. */
  override _writev(chunks: { chunk: Buffer; encoding: BufferEncoding }[], done: () => void): void {
    this.#lender.cork();
    for (const { chunk, encoding } of chunks) this.#lender.write(chunk, encoding);
    this.#lender.uncork();
    done();
  }
}
