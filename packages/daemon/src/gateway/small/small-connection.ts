import type { Socket } from 'node:net';
import { usedBuffer } from '../../base/buffer-garbage.ts';
import { SmallAnswer, type SmallAnswerDeps } from './small-answer.ts';
import { SmallBody } from './small-body.ts';
import { HeadMemory } from './head-memory.ts';
import { SMALL_BODY_BYTES_MAX, SmallRequest, type SmallHead } from './small-request.ts';

export interface SmallConnectionDeps {
  /** Serves a request; false where it needs more of HTTP than this connection knows. Nothing has been answered then. */
  readonly onRequest: (request: SmallRequest, answer: SmallAnswer) => boolean;
  /** Gets the socket, for good, with all bytes of the request that is not small still in it. */
  readonly handOver: (socket: Socket) => void;
  readonly keepAliveSeconds: number;
  readonly onClosed: (connection: SmallConnection) => void;
}

/** A request whose body has begun to come, into a place of its own: joining pieces would copy the head once more. */
interface Collected {
  readonly head: SmallHead;
  /** As it came, for node:http should it take the request. */
  readonly headBytes: Buffer;
  readonly body: Buffer;
  /** Bytes of the body that are here. */
  have: number;
}

/**
 * A caller's connection as long as it sends ordinary requests, one after the other. With the first that is not, node:http
 * takes the connection over and never gives it back.
 *
 * ```
 * idle ─▶ (collecting) ─▶ serving ─▶ idle          anything else ─▶ handed over
 *   └──▶ serving while a long body streams ─▶ idle when it is answered and all of the body has come
 * ```
 */
export class SmallConnection {
  readonly #socket: Socket;
  readonly #deps: SmallConnectionDeps;
  readonly #remoteAddress: string;
  readonly #answerDeps: SmallAnswerDeps;
  readonly #heads = new HeadMemory();
  /** What has come and is not served yet. */
  #unread: Buffer[] = [];
  #unreadBytes = 0;
  #collected: Collected | undefined;
  /** The long body that is on its way; it may go on when its request is answered. */
  #body: SmallBody | undefined;
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
    return !this.#hasServed && this.#isQuiet;
  }

  get isIdle(): boolean {
    return this.#answer === undefined && this.#body === undefined && this.#isQuiet;
  }

  get #isQuiet(): boolean {
    return this.#unreadBytes === 0 && this.#collected === undefined;
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
    const collected = this.#collected;
    if (collected !== undefined) {
      this.#collected = undefined;
      this.#keep(Buffer.concat([collected.headBytes, collected.body.subarray(0, collected.have)]));
    }
    socket.off('data', this.#onData);
    socket.off('end', this.#onEnd);
    socket.off('drain', this.#onDrain);
    socket.off('close', this.#onClose);
    socket.off('error', ignore);
    this.#deps.onClosed(this);
    socket.pause();
    if (this.#unreadBytes > 0) socket.unshift(Buffer.concat(this.#unread, this.#unreadBytes));
    this.#unread = [];
    this.#unreadBytes = 0;
    this.#deps.handOver(socket);
    socket.resume();
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#quietSweeps = 0;
    const rest = this.#body === undefined ? chunk : this.#passOn(this.#body, chunk);
    if (rest.length === 0) return;
    // Who reads a long body tells of it.
    usedBuffer(rest.length);
    if (this.#collected !== undefined) {
      this.#collect(this.#collected, rest);
      return;
    }
    this.#unread.push(rest);
    this.#unreadBytes += rest.length;
    // The next request waits, unread beyond this chunk, until this one is answered.
    if (this.#answer === undefined) this.#serveUnread();
    else this.#socket.pause();
  };

  /** Gives what is left of `chunk` behind the body. */
  #passOn(body: SmallBody, chunk: Buffer): Buffer {
    const { leftBytes } = body;
    const goesOn = body.receive(chunk.length <= leftBytes ? chunk : chunk.subarray(0, leftBytes));
    if (body.leftBytes > 0) {
      if (!goesOn) this.#socket.pause();
      return EMPTY;
    }
    this.#body = undefined;
    if (this.#answer === undefined && this.#isClosing) this.#socket.end();
    return chunk.length === leftBytes ? EMPTY : chunk.subarray(leftBytes);
  }

  #collect(collected: Collected, chunk: Buffer): void {
    const { head, headBytes, body, have } = collected;
    const missing = body.length - have;
    chunk.copy(body, have, 0, missing);
    collected.have = have + Math.min(chunk.length, missing);
    if (collected.have < body.length) return;
    this.#collected = undefined;
    if (chunk.length > missing) this.#keep(chunk.subarray(missing));
    if (this.#serve(head, body)) this.#serveUnread();
    else this.#handBack(Buffer.concat([headBytes, body]));
  }

  /** `bytes` come right before whatever else is unread. */
  #keep(bytes: Buffer): void {
    this.#unread.unshift(bytes);
    this.#unreadBytes += bytes.length;
  }

  /** Nobody serves the request: it goes to node:http with all that has come. */
  #handBack(bytes: Buffer): void {
    this.#keep(bytes);
    this.giveUp();
  }

  #serveUnread(): void {
    if (this.#isLooping) return;
    this.#isLooping = true;
    while (this.#answer === undefined && this.#unreadBytes > 0 && this.#serveNext());
    this.#isLooping = false;
  }

  /** False when more has to come first, or the connection is no longer ours. */
  #serveNext(): boolean {
    if (this.#body !== undefined || this.#socket.destroyed || this.#socket.writableEnded) return false;
    const [first] = this.#unread;
    const bytes = this.#unread.length === 1 && first !== undefined ? first : Buffer.concat(this.#unread);
    const head = this.#heads.headOf(bytes);
    if (head === undefined) {
      this.giveUp();
      return false;
    }
    this.#unread = [];
    this.#unreadBytes = 0;
    if (head.bodyBytes > SMALL_BODY_BYTES_MAX) return this.#serveLong(head, bytes);
    const end = head.headBytes + head.bodyBytes;
    if (bytes.length < end) {
      const body = Buffer.allocUnsafe(head.bodyBytes);
      usedBuffer(body.length);
      const have = bytes.copy(body, 0, head.headBytes);
      this.#collected = { head, headBytes: bytes.subarray(0, head.headBytes), body, have };
      return false;
    }
    if (bytes.length > end) this.#keep(bytes.subarray(end));
    if (this.#serve(head, bytes.subarray(head.headBytes, end))) return true;
    this.#handBack(bytes.subarray(0, end));
    return false;
  }

  /** A body of more than `SMALL_BODY_BYTES_MAX`: its request is served with what has come of it. */
  #serveLong(head: SmallHead, bytes: Buffer): boolean {
    const socket = this.#socket;
    const body = new SmallBody(head.bodyBytes, () => {
      if (this.#body === body && socket.isPaused()) socket.resume();
    });
    this.#body = body;
    if (!this.#serve(head, body)) {
      this.#body = undefined;
      this.#handBack(bytes);
      return false;
    }
    if (bytes.length > head.headBytes) {
      const rest = this.#passOn(body, bytes.subarray(head.headBytes));
      if (rest.length > 0) this.#keep(rest);
    }
    return true;
  }

  #serve(head: SmallHead, body: Buffer | SmallBody): boolean {
    const request = new SmallRequest(head, this.#remoteAddress, body);
    const answer = new SmallAnswer(this.#socket, head.method, this.#answerDeps);
    this.#answer = answer;
    if (this.#deps.onRequest(request, answer)) {
      this.#hasServed = true;
      return true;
    }
    this.#answer = undefined;
    return false;
  }

  #onFinished(): void {
    this.#answer = undefined;
    this.#quietSweeps = 0;
    const body = this.#body;
    if (body !== undefined) {
      // Nobody has begun to read it, and nobody will. Closing before it has come would cost the caller the answer.
      if (body.readableFlowing === null) body.resume();
      return;
    }
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
    const body = this.#body;
    this.#answer = undefined;
    this.#body = undefined;
    answer?.closed();
    body?.breakOff();
  };
}

const EMPTY = Buffer.alloc(0);

function ignore(): void {}
