import type { Socket } from 'node:net';
import { SmallAnswer, type SmallAnswerDeps } from './small-answer.ts';
import { SmallRequest, smallHeadOf, type SmallHead } from './small-request.ts';

export interface SmallConnectionDeps {
  /** Serves a request; false where it needs more of HTTP than this connection knows. Nothing has been answered then. */
  readonly onRequest: (request: SmallRequest, answer: SmallAnswer) => boolean;
  /** Gets the socket, for good, with all bytes of the request that is not small still in it. */
  readonly handOver: (socket: Socket) => void;
  readonly keepAliveSeconds: number;
  readonly onClosed: (connection: SmallConnection) => void;
}

/**
 * A caller's connection as long as it sends small requests, one after the other. With the first that is not, node:http
 * takes the connection over and never gives it back.
 *
 * ```
 * idle ─▶ (body)* ─▶ serving ─▶ idle          anything else ─▶ handed over
 * ```
 */
export class SmallConnection {
  readonly #socket: Socket;
  readonly #deps: SmallConnectionDeps;
  readonly #remoteAddress: string;
  readonly #answerDeps: SmallAnswerDeps;
  /** What has come and is not served yet. */
  #unread: Buffer[] = [];
  #unreadBytes = 0;
  /** Of the request whose body is on its way. */
  #head: SmallHead | undefined;
  #answer: SmallAnswer | undefined;
  #isClosing = false;
  #isLooping = false;
  /** Sweeps since anything came or went. */
  #quietSweeps = 0;
  #hasServed = false;

  constructor(socket: Socket, deps: SmallConnectionDeps) {
    this.#socket = socket;
    this.#deps = deps;
    this.#remoteAddress = socket.remoteAddress ?? '';
    this.#answerDeps = {
      keepAliveSeconds: deps.keepAliveSeconds,
      closes: () => this.#isClosing,
      onFinished: () => this.#onFinished(),
    };
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    socket.on('drain', this.#onDrain);
    socket.on('close', this.#onClose);
    socket.on('error', ignore);
  }

  /** No request has come since the connection was opened. */
  get isFresh(): boolean {
    return !this.#hasServed && this.#unreadBytes === 0;
  }

  get isIdle(): boolean {
    return this.#answer === undefined && this.#unreadBytes === 0;
  }

  /** Sweeps in a row that have seen neither a byte come nor one leave. */
  sweep(): number {
    this.#quietSweeps += 1;
    return this.#quietSweeps;
  }

  /** Ends it as soon as it is idle. */
  close(): void {
    this.#isClosing = true;
    if (this.isIdle) this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Hands the socket over as it is, with what has come and is not served. */
  giveUp(): void {
    const socket = this.#socket;
    socket.off('data', this.#onData);
    socket.off('end', this.#onEnd);
    socket.off('drain', this.#onDrain);
    socket.off('close', this.#onClose);
    socket.off('error', ignore);
    this.#deps.onClosed(this);
    socket.pause();
    if (this.#unreadBytes > 0) socket.unshift(Buffer.concat(this.#unread, this.#unreadBytes));
    this.#unread = [];
    this.#deps.handOver(socket);
    socket.resume();
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#quietSweeps = 0;
    this.#unread.push(chunk);
    this.#unreadBytes += chunk.length;
    // The next request waits, unread beyond this chunk, until this one is answered.
    if (this.#answer === undefined) this.#serveUnread();
    else this.#socket.pause();
  };

  #serveUnread(): void {
    if (this.#isLooping) return;
    this.#isLooping = true;
    while (this.#answer === undefined && this.#unreadBytes > 0 && this.#serveNext());
    this.#isLooping = false;
  }

  /** False when more has to come first, or the connection is no longer ours. */
  #serveNext(): boolean {
    if (this.#socket.destroyed || this.#socket.writableEnded) return false;
    let head = this.#head;
    if (head !== undefined && this.#unreadBytes < head.headBytes + head.bodyBytes) return false;
    const [first] = this.#unread;
    const bytes = this.#unread.length === 1 && first !== undefined ? first : Buffer.concat(this.#unread);
    head ??= smallHeadOf(bytes);
    if (head === undefined) {
      this.giveUp();
      return false;
    }
    const end = head.headBytes + head.bodyBytes;
    if (bytes.length < end) {
      this.#head = head;
      this.#unread = [bytes];
      return false;
    }
    const request = new SmallRequest(head, this.#remoteAddress, bytes.subarray(head.headBytes, end));
    const answer = new SmallAnswer(this.#socket, head.method, this.#answerDeps);
    this.#head = undefined;
    this.#answer = answer;
    this.#unread = bytes.length === end ? [] : [bytes.subarray(end)];
    this.#unreadBytes = bytes.length - end;
    if (this.#deps.onRequest(request, answer)) {
      this.#hasServed = true;
      return true;
    }
    this.#answer = undefined;
    this.#unread = [bytes];
    this.#unreadBytes = bytes.length;
    this.giveUp();
    return false;
  }

  #onFinished(): void {
    this.#answer = undefined;
    this.#quietSweeps = 0;
    if (this.#isClosing) this.#socket.end();
    // A caller that sends on without reading its answers is not served further.
    else if (!this.#socket.writableNeedDrain) this.#goOn();
  }

  #goOn(): void {
    if (this.#unreadBytes > 0) this.#serveUnread();
    if (this.#answer !== undefined) return;
    if (this.#socket.isPaused()) this.#socket.resume();
  }

  readonly #onDrain = (): void => {
    this.#quietSweeps = 0;
    if (this.#answer === undefined) this.#goOn();
    else this.#answer.drained();
  };

  /**
   * Nothing tells a caller that only stops sending from one that is gone. Nearly all are gone, and a function that runs
   * for nobody costs; so proxies take every end for that, and so is it taken here.
   */
  readonly #onEnd = (): void => {
    if (this.#answer === undefined) this.#socket.end();
    else this.#socket.destroy();
  };

  readonly #onClose = (): void => {
    this.#deps.onClosed(this);
    const answer = this.#answer;
    this.#answer = undefined;
    answer?.closed();
  };
}

function ignore(): void {}
