import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { atTurnEnd, type TurnEndListener } from '../../base/turn-end.ts';
import { isBodylessAnswer } from '../../model/bodyless-answer.ts';

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const FORBIDDEN_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]/;
/** Up to this size a body is joined to its head and leaves as one string: half the cost of a write of two buffers. */
const JOINED_BYTES_MAX = 16 * 1024;
const LAST_CHUNK = '0\r\n\r\n';

export interface SmallAnswerDeps {
  /** Says that the connection is kept, and for how long. */
  readonly keepAliveSeconds: number;
  /** True when this answer is to be the connection's last. */
  readonly closes: () => boolean;
  /** Called once, when all of the answer is with the connection. */
  readonly onFinished: () => void;
}

/** The answer to a small request: the part of node:http's ServerResponse that answers of functions need. */
export class SmallAnswer implements TurnEndListener {
  readonly req: { readonly method: string };
  readonly #socket: Socket;
  readonly #deps: SmallAnswerDeps;
  #head: string | undefined;
  #isHeadSent = false;
  #hasBody = true;
  #isChunked = false;
  #isFinished = false;
  /** What is written is held until the turn's end. */
  #isHolding = false;
  #onDrain = ignore;
  #onClose = ignore;

  constructor(socket: Socket, method: string, deps: SmallAnswerDeps) {
    this.#socket = socket;
    this.#deps = deps;
    this.req = { method };
  }

  get destroyed(): boolean {
    return this.#socket.destroyed;
  }

  /** All of it is with the connection. */
  get writableFinished(): boolean {
    return this.#isFinished;
  }

  /** One listener for each event. */
  on(event: 'drain' | 'close', listener: () => void): void {
    if (event === 'drain') this.#onDrain = listener;
    else this.#onClose = listener;
  }

  /** The connection takes bytes again. */
  drained(): void {
    this.#onDrain();
  }

  /** The connection is gone. */
  closed(): void {
    this.#onClose();
  }

  /** Throws TypeError for a header that HTTP does not allow; the answer has no head then. */
  writeHead(status: number, headers: readonly string[]): void {
    let head = statusLine(status);
    let hasLength = false;
    for (let at = 0; at + 1 < headers.length; at += 2) {
      const name = headers[at] ?? '';
      const value = headers[at + 1] ?? '';
      if (!NAME.test(name)) throw new TypeError(`a header's name is not allowed: ${JSON.stringify(name)}`);
      if (FORBIDDEN_IN_VALUE.test(value)) throw new TypeError(`the value of header ${name} is not allowed`);
      if (name.length === CONTENT_LENGTH.length && name.toLowerCase() === CONTENT_LENGTH) {
        if (hasLength) throw new TypeError('an answer has one length');
        hasLength = true;
      }
      head += `${name}: ${value}\r\n`;
    }
    head += dateLine();
    head += this.#deps.closes()
      ? 'Connection: close\r\n'
      : `Connection: keep-alive\r\nKeep-Alive: timeout=${this.#deps.keepAliveSeconds}\r\n`;
    const isBodyless = isBodylessAnswer(this.req.method, status);
    this.#isChunked = !hasLength && !isBodyless;
    if (this.#isChunked) head += 'Transfer-Encoding: chunked\r\n';
    this.#head = `${head}\r\n`;
    this.#hasBody = !isBodyless;
  }

  flushHeaders(): void {
    if (this.#isHeadSent || this.#head === undefined) return;
    this.#isHeadSent = true;
    this.#socket.write(this.#head, 'latin1');
  }

  /** The pieces of one turn leave in one write. False asks for a pause until `drain`. */
  write(chunk: Buffer): boolean {
    if (!this.#hasBody || chunk.length === 0) return true;
    if (!this.#isHolding) {
      this.#isHolding = true;
      this.#socket.cork();
      atTurnEnd(this);
    }
    this.flushHeaders();
    if (this.#isChunked) this.#socket.write(`${chunk.length.toString(16)}\r\n`, 'latin1');
    const goesOn = this.#socket.write(chunk);
    return this.#isChunked ? this.#socket.write('\r\n', 'latin1') : goesOn;
  }

  onTurnEnd(): void {
    if (!this.#isHolding) return;
    this.#isHolding = false;
    this.#socket.uncork();
  }

  /** Ends the answer with its last bytes. */
  finish(body: Buffer): void {
    if (this.#isFinished || this.destroyed) return;
    const isJoined =
      !this.#isHeadSent && !this.#isChunked && this.#hasBody && body.length <= JOINED_BYTES_MAX;
    if (isJoined && this.#head !== undefined) {
      this.#isHeadSent = true;
      this.#socket.write(this.#head + body.toString('latin1'), 'latin1');
    } else {
      this.#socket.cork();
      this.flushHeaders();
      this.write(body);
      if (this.#isChunked) this.#socket.write(LAST_CHUNK, 'latin1');
      this.#socket.uncork();
      this.onTurnEnd();
    }
    this.#isFinished = true;
    this.#deps.onFinished();
  }

  /** Breaks the answer off: a caller must not take what it got for the whole. */
  destroy(): void {
    this.#socket.destroy();
  }
}

function ignore(): void {}

const CONTENT_LENGTH = 'content-length';

const statusLines = new Map<number, string>();

function statusLine(status: number): string {
  let line = statusLines.get(status);
  if (line === undefined) {
    line = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n`;
    // Bounded by the statuses that there are, 200 to 999.
    statusLines.set(status, line);
  }
  return line;
}

let dateSecond = 0;
let dateText = '';

/** Made once a second. */
function dateLine(): string {
  const nowMs = Date.now();
  const second = Math.floor(nowMs / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = `Date: ${new Date(nowMs).toUTCString()}\r\n`;
  }
  return dateText;
}
