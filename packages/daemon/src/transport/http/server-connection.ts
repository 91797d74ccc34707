import { connect, type Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { usedBuffer } from '../../base/buffer-garbage.ts';
import { isBodylessAnswer } from '../../model/bodyless-answer.ts';
import type { ServerAddress } from '../../sandbox/sandbox.ts';
import { AnswerError } from './answer-error.ts';
import { parseAnswerHead, type AnswerHead } from './answer-head.ts';
import { BodySender } from './body-sender.ts';
import { ChunkedBody } from './chunked-body.ts';

const CONNECT_MS_MAX = 10_000;
export const ANSWER_HEAD_BYTES_MAX = 64 * 1024;
/** Heads are shorter than this, most of them by far: so much of a read is looked at first. */
const HEAD_LOOK_BYTES = 2048;
/** Up to this size a body leaves in the text of its head, which needs no buffer; up to the next, in one with it. */
const TEXT_BYTES_MAX = 4 * 1024;
const COPY_BYTES_MAX = 64 * 1024;
const READ_BYTES_MAX = 64 * 1024;
/** A read that filled less of its buffer is copied out of it, so that little bytes do not hold large buffers. */
const HANDED_ON_BYTES_MIN = READ_BYTES_MAX / 2;
const PROTOCOL = 'HTTP/1.';
const HEAD_END = '\r\n\r\n';

/** Every read of small answers of all connections: it is worked off before the next read, and nobody may keep it. */
const sharedBuffer = Buffer.allocUnsafeSlow(READ_BYTES_MAX);

export interface SentRequest {
  /** Request line and headers with the empty line, in Latin-1. */
  readonly head: string;
  readonly method: string;
  readonly body: Buffer | Readable | undefined;
  /** As the head says it, of a body that is a stream. */
  readonly length: number | 'chunked';
  /** The head asks for another protocol: a 101 makes the connection a tunnel for `body`. */
  readonly asksForUpgrade: boolean;
}

/** Who gets an answer. Ends with exactly one of `onEnd` and `onLost`, never within `send`. */
export interface AnswerReader {
  onHead(head: AnswerHead): void;
  /** False asks for a pause until `resume`; what has been read already still comes. */
  onData(chunk: Buffer): boolean;
  /** The answer is complete, or the tunnel has closed. The connection may be used again if it `isReusable`. */
  onEnd(): void;
  /** AnswerError where the server's answer is not valid; any other cause is of the connection, which is gone in any case. */
  onLost(cause: Error): void;
}

type Stage = 'idle' | 'head' | 'body' | 'tunnel';

/**
 * One connection to a user's server, which speaks HTTP/1.1 with one request at a time. The server is not trusted: what it
 * sends is bounded and read strictly, and a connection on which anything was amiss carries nothing more.
 *
 * ```
 * idle ─ send ─▶ head ─▶ body ─▶ idle           1xx: head again
 *                  └ 101 ─▶ tunnel ─▶ closed
 * ```
 */
export class ServerConnection {
  /** Requests that it has carried. */
  carried = 0;
  /** Monotonic milliseconds until which it may be used again. */
  usableUntilMs = 0;
  readonly #socket: Socket;
  #stage: Stage = 'idle';
  #reader: AnswerReader | undefined;
  #method = '';
  #asksForUpgrade = false;
  #sender: BodySender | undefined;
  /** The start of a head whose end has not come. */
  #headText = '';
  /** The last head and what it said: a server says the same again and again. */
  #lastHeadText = '';
  #lastHead: AnswerHead | undefined;
  #leftBytes = 0;
  #chunks: ChunkedBody | undefined;
  #isUntilClose = false;
  #isReusable = true;
  #hasAnswered = false;
  #isFlowing = true;
  /** Where the next read goes: a buffer of its own while a long body comes, which is handed on without a copy. */
  #buffer = sharedBuffer;
  #isHandedOn = false;
  #cause: Error | undefined;

  /** `onIdleEnd` tells of the end of a connection that carried nothing, which nobody else hears of. */
  constructor(address: ServerAddress, onIdleEnd: (connection: ServerConnection) => void) {
    const socket = connect({
      ...address,
      noDelay: true,
      onread: { buffer: this.#nextBuffer, callback: this.#onRead },
    });
    this.#socket = socket;
    socket.setTimeout(CONNECT_MS_MAX, () => this.break(new Error('the server did not accept in time')));
    socket.once('connect', () => socket.setTimeout(0));
    socket.once('end', this.#onEndOfStream);
    socket.on('error', (error) => {
      this.#cause ??= error;
    });
    socket.once('close', () => {
      this.#isReusable = false;
      const reader = this.#reader;
      if (reader === undefined) onIdleEnd(this);
      else if (this.#stage === 'tunnel') this.#tell().onEnd();
      else this.#tell().onLost(this.#cause ?? new Error('the server closed the connection'));
    });
  }

  /** It lives, carries nothing, and the last answer left nothing behind. */
  get isReusable(): boolean {
    return this.#isReusable && this.#reader === undefined;
  }

  /** Something of the answer to the last request has come. */
  get hasAnswered(): boolean {
    return this.#hasAnswered;
  }

  /** Of the last answer. */
  get keepAliveS(): number | undefined {
    return this.#lastHead?.keepAliveS;
  }

  send(request: SentRequest, reader: AnswerReader): void {
    if (!this.isReusable) throw new Error('the connection is not free');
    const { head, body } = request;
    this.carried += 1;
    this.#hasAnswered = false;
    this.#reader = reader;
    this.#stage = 'head';
    this.#method = request.method;
    this.#asksForUpgrade = request.asksForUpgrade;
    const socket = this.#socket;
    if (body === undefined || (Buffer.isBuffer(body) && body.length === 0)) {
      socket.write(head, 'latin1');
    } else if (!Buffer.isBuffer(body)) {
      socket.write(head, 'latin1');
      if (!this.#asksForUpgrade)
        this.#sender = new BodySender(socket, body, request.length, (cause) => this.break(cause));
    } else if (body.length <= TEXT_BYTES_MAX) {
      socket.write(head + body.toString('latin1'), 'latin1');
    } else if (body.length <= COPY_BYTES_MAX) {
      const message = Buffer.allocUnsafe(head.length + body.length);
      message.write(head, 'latin1');
      body.copy(message, head.length);
      socket.write(message);
    } else {
      socket.cork();
      socket.write(head, 'latin1');
      socket.write(body);
      socket.uncork();
    }
  }

  resume(): void {
    if (this.#isFlowing) return;
    this.#isFlowing = true;
    this.#socket.resume();
  }

  /** What the caller sends goes to the server as it is, until either side ends it. After the head of a 101. */
  startTunnel(source: Readable): void {
    // Nothing of HTTP is left on it: a caller that is gone ends the tunnel like one that closes it.
    source.on('error', () => this.#socket.destroy());
    source.pipe(this.#socket);
  }

  /** Breaks it; its reader, if it has one, hears nothing more. */
  destroy(): void {
    this.#reader = undefined;
    this.#isReusable = false;
    this.#stopSending();
    this.#socket.destroy();
  }

  /** Breaks it; its reader hears of it. */
  break(cause: Error): void {
    this.#cause ??= cause;
    this.#isReusable = false;
    this.#stopSending();
    this.#socket.destroy();
  }

  /** The reader, which hears of the end next: it may send anew from there, so nothing is done after it. */
  #tell(): AnswerReader {
    const reader = this.#reader;
    if (reader === undefined) throw new Error('nobody reads the answer');
    this.#reader = undefined;
    this.#stopSending();
    return reader;
  }

  #stopSending(): void {
    this.#sender?.stop();
    this.#sender = undefined;
  }

  readonly #onEndOfStream = (): void => {
    if (this.#stage === 'body' && this.#isUntilClose && this.#reader !== undefined) {
      this.#isReusable = false;
      this.#tell().onEnd();
    } else if (this.#stage !== 'tunnel') {
      this.break(new Error('the server closed the connection'));
    }
  };

  readonly #nextBuffer = (): Buffer => this.#buffer;

  /** Called by the socket when a read has filled `#buffer` so far; false pauses it. */
  readonly #onRead = (length: number): boolean => {
    const buffer = this.#buffer;
    this.#hasAnswered = true;
    try {
      this.#read(buffer, length);
    } catch (error) {
      if (!(error instanceof AnswerError)) throw error;
      this.break(error);
    }
    if (this.#reader === undefined || length < HANDED_ON_BYTES_MIN) this.#buffer = sharedBuffer;
    else if (this.#isHandedOn || buffer === sharedBuffer)
      this.#buffer = Buffer.allocUnsafeSlow(READ_BYTES_MAX);
    this.#isHandedOn = false;
    return this.#isFlowing;
  };

  #read(bytes: Buffer, end: number): void {
    let at = 0;
    while (at < end && this.#reader !== undefined) {
      if (this.#stage === 'head') at = this.#readHead(this.#reader, bytes, at, end);
      else if (this.#stage === 'body') at = this.#readBody(this.#reader, bytes, at, end);
      else at = this.#pass(this.#reader, bytes, at, end);
    }
    // Bytes that nobody asked for: whose answer they would be taken for is up to whoever sent them.
    if (at < end) this.destroy();
  }

  #readHead(reader: AnswerReader, bytes: Buffer, start: number, end: number): number {
    const soFar = this.#headText;
    let text = soFar + bytes.toString('latin1', start, Math.min(end, start + HEAD_LOOK_BYTES));
    let head = this.#lastHead;
    let headEnd = this.#lastHeadText.length;
    if (head === undefined || !text.startsWith(this.#lastHeadText)) {
      headEnd = text.indexOf(HEAD_END) + HEAD_END.length;
      if (headEnd < HEAD_END.length && end > start + HEAD_LOOK_BYTES) {
        text = soFar + bytes.toString('latin1', start, end);
        headEnd = text.indexOf(HEAD_END) + HEAD_END.length;
      }
      const isWhole = headEnd >= HEAD_END.length;
      if (!text.startsWith(PROTOCOL.slice(0, text.length)))
        throw new AnswerError('it does not begin as HTTP/1.1');
      if ((isWhole ? headEnd : text.length) > ANSWER_HEAD_BYTES_MAX)
        throw new AnswerError(`its headers are longer than ${ANSWER_HEAD_BYTES_MAX} bytes`);
      this.#headText = text;
      if (!isWhole) return end;
      const headText = text.slice(0, headEnd);
      head = parseAnswerHead(headText);
      if (head.status >= 200) {
        this.#lastHeadText = headText;
        this.#lastHead = head;
      }
    }
    this.#headText = '';
    const at = start + headEnd - soFar.length;
    if (head.status === 101) this.#beginTunnel(reader, head);
    else if (head.status >= 200) this.#beginBody(reader, head, at === end);
    return at;
  }

  #beginTunnel(reader: AnswerReader, head: AnswerHead): void {
    if (!this.#asksForUpgrade || head.upgrade === undefined)
      throw new AnswerError('it switches to a protocol that was not asked for');
    this.#stage = 'tunnel';
    this.#isReusable = false;
    reader.onHead(head);
  }

  #beginBody(reader: AnswerReader, head: AnswerHead, isLastOfRead: boolean): void {
    const { status, bodyLength, keepsConnection } = head;
    const hasNone = isBodylessAnswer(this.#method, status);
    this.#stage = 'body';
    this.#isUntilClose = !hasNone && bodyLength === 'untilClose';
    this.#chunks = !hasNone && bodyLength === 'chunked' ? new ChunkedBody() : undefined;
    this.#leftBytes = hasNone || typeof bodyLength === 'string' ? 0 : bodyLength;
    if (!keepsConnection || this.#isUntilClose || this.#asksForUpgrade) this.#isReusable = false;
    reader.onHead(head);
    const isBodyless = !this.#isUntilClose && this.#chunks === undefined && this.#leftBytes === 0;
    if (isBodyless && this.#reader === reader) this.#finish(isLastOfRead);
  }

  #readBody(reader: AnswerReader, bytes: Buffer, start: number, end: number): number {
    const chunks = this.#chunks;
    if (chunks !== undefined) {
      const at = chunks.read(bytes, start, end, (from, to) => {
        if (this.#reader === reader) this.#pass(reader, bytes, from, to);
      });
      if (chunks.isComplete && this.#reader === reader) this.#finish(at === end);
      return at;
    }
    if (this.#isUntilClose) return this.#pass(reader, bytes, start, end);
    const at = this.#pass(reader, bytes, start, Math.min(end, start + this.#leftBytes));
    this.#leftBytes -= at - start;
    if (this.#leftBytes === 0 && this.#reader === reader) this.#finish(at === end);
    return at;
  }

  #pass(reader: AnswerReader, bytes: Buffer, from: number, to: number): number {
    const isOwn = bytes !== sharedBuffer && to - from >= HANDED_ON_BYTES_MIN;
    usedBuffer(to - from);
    if (isOwn) this.#isHandedOn = true;
    const chunk = isOwn ? bytes.subarray(from, to) : copyOf(bytes, from, to);
    if (!reader.onData(chunk)) this.#isFlowing = false;
    return to;
  }

  /** The whole answer is here. It may have come before the whole request was sent; then the server is not ready for another. */
  #finish(isLastOfRead: boolean): void {
    if (!isLastOfRead || this.#sender?.isComplete === false) this.#isReusable = false;
    this.#stage = 'idle';
    this.#isFlowing = true;
    this.#tell().onEnd();
  }
}

function copyOf(bytes: Buffer, from: number, to: number): Buffer {
  const copy = Buffer.allocUnsafe(to - from);
  bytes.copy(copy, 0, from, to);
  return copy;
}
