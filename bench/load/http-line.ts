import { connect, type Socket } from 'node:net';

const HEAD_END = Buffer.from('\r\n\r\n');
const EMPTY = Buffer.alloc(0);
/** As much of a chunked body's end as its last chunk and the trailers behind it may take. */
const TAIL_BYTES = 1024;
const LAST_CHUNK = /(?:^|\r\n)0\r\n(?:[^\r\n]+\r\n)*\r\n$/;

/**
 * One keep-alive connection that sends requests made beforehand and finds where their answers end: so little work that
 * what is measured is the other side. It reads HTTP/1.1 with a length or in chunks, and no more of it.
 */
export class HttpLine {
  readonly #socket: Socket;
  #onAnswer: ((status: number, error: Error | undefined) => void) | undefined;
  #head: Buffer = EMPTY;
  #status = 0;
  /** Of the body, what has not come yet; undefined while the head has not. */
  #bytesLeft: number | undefined;
  #isChunked = false;
  /** The end of a chunked body may be split anywhere. */
  #tail = '';

  constructor(target: Target) {
    this.#socket = connect(target);
    this.#socket.setNoDelay(true);
    this.#socket.on('data', (chunk: Buffer) => this.#onBytes(chunk));
    this.#socket.on('error', (error) => this.#end(0, error));
    this.#socket.on('close', () => this.#end(0, new Error('the connection was closed')));
  }

  get isBusy(): boolean {
    return this.#onAnswer !== undefined;
  }

  /** Calls back once: with the status, or with an error after which the line is of no more use. */
  send(request: Buffer, onAnswer: (status: number, error: Error | undefined) => void): void {
    this.#onAnswer = onAnswer;
    this.#socket.write(request);
  }

  close(): void {
    this.#onAnswer = undefined;
    this.#socket.destroy();
  }

  #onBytes(chunk: Buffer): void {
    let body = chunk;
    if (this.#bytesLeft === undefined) {
      this.#head = this.#head.length === 0 ? chunk : Buffer.concat([this.#head, chunk]);
      const headEnd = this.#head.indexOf(HEAD_END);
      if (headEnd === -1) return;
      const head = this.#head.toString('latin1', 0, headEnd).toLowerCase();
      body = this.#head.subarray(headEnd + HEAD_END.length);
      this.#head = EMPTY;
      this.#status = Number(head.slice(9, 12));
      this.#isChunked = head.includes('\r\ntransfer-encoding: chunked');
      this.#bytesLeft = Number(/\r\ncontent-length: (\d+)/.exec(head)?.[1] ?? 0);
      this.#tail = '';
    }
    if (this.#isChunked) {
      this.#tail = (this.#tail + body.toString('latin1', Math.max(0, body.length - TAIL_BYTES))).slice(
        -TAIL_BYTES,
      );
      if (!LAST_CHUNK.test(this.#tail)) return;
    } else {
      this.#bytesLeft -= body.length;
      if (this.#bytesLeft > 0) return;
    }
    this.#end(this.#status, undefined);
  }

  #end(status: number, error: Error | undefined): void {
    this.#bytesLeft = undefined;
    const onAnswer = this.#onAnswer;
    this.#onAnswer = undefined;
    onAnswer?.(status, error);
  }
}

export type Target = { readonly host: string; readonly port: number } | { readonly path: string };

export interface RequestText {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** The bytes of a request as they go over the wire. */
export function requestBytes({ method, path, headers, body }: RequestText): Buffer {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `${method} ${path} HTTP/1.1\r\n${lines.join('')}content-length: ${body.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head, 'latin1'), body]);
}
