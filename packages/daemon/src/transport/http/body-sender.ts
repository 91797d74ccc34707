import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { usedBuffer } from '../../base/buffer-garbage.ts';

/**
 * Sends a body that is a stream as fast as the server takes it: in chunks, or as it is where its length was said before.
 * The source is its owner's: it is paused and read to its end, never destroyed.
 */
export class BodySender {
  readonly #socket: Socket;
  readonly #source: Readable;
  readonly #onLost: (cause: Error) => void;
  readonly #isChunked: boolean;
  /** Of a body whose length was said, what is still to come. */
  #leftBytes: number;
  #hasSentChunk = false;
  #isComplete = false;
  #isStopped = false;

  /** `onLost` is called once, when the body cannot be sent to its end: the request is broken then. */
  constructor(socket: Socket, source: Readable, length: number | 'chunked', onLost: (cause: Error) => void) {
    this.#socket = socket;
    this.#source = source;
    this.#onLost = onLost;
    this.#isChunked = length === 'chunked';
    this.#leftBytes = length === 'chunked' ? 0 : length;
    source.on('data', this.#onData);
    source.once('end', this.#onEnd);
    source.once('error', this.#onGone);
    source.once('close', this.#onGone);
    socket.on('drain', this.#onDrain);
    if (source.readableEnded) this.#onEnd();
    else if (source.destroyed) process.nextTick(this.#onGone);
  }

  /** All of it has been handed to the connection. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** Sends no more. What the caller still sends is read and dropped, so that its connection can carry the answer. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    const source = this.#source;
    source.off('data', this.#onData);
    source.off('end', this.#onEnd);
    source.off('error', this.#onGone);
    source.off('close', this.#onGone);
    this.#socket.off('drain', this.#onDrain);
    source.on('error', ignore);
    source.resume();
  }

  readonly #onData = (bytes: Buffer): void => {
    if (bytes.length === 0) return;
    usedBuffer(bytes.length);
    if (!this.#isChunked) {
      this.#leftBytes -= bytes.length;
      if (this.#leftBytes < 0) this.#lose(new Error('the body is longer than its length'));
      else if (!this.#socket.write(bytes)) this.#source.pause();
      return;
    }
    const socket = this.#socket;
    socket.cork();
    const size = bytes.length.toString(16);
    socket.write(this.#hasSentChunk ? `\r\n${size}\r\n` : `${size}\r\n`, 'latin1');
    const isTaken = socket.write(bytes);
    socket.uncork();
    this.#hasSentChunk = true;
    if (!isTaken) this.#source.pause();
  };

  readonly #onDrain = (): void => {
    this.#source.resume();
  };

  readonly #onEnd = (): void => {
    if (this.#isComplete || this.#isStopped) return;
    if (this.#leftBytes > 0) {
      this.#lose(new Error('the body is shorter than its length'));
      return;
    }
    this.#isComplete = true;
    if (this.#isChunked) this.#socket.write(this.#hasSentChunk ? '\r\n0\r\n\r\n' : '0\r\n\r\n', 'latin1');
    this.stop();
  };

  /** A body that breaks off must not look like a whole one. */
  readonly #onGone = (): void => {
    if (!this.#isComplete) this.#lose(new Error('the caller closed the connection'));
  };

  #lose(cause: Error): void {
    if (this.#isStopped) return;
    this.stop();
    this.#onLost(cause);
  }
}

function ignore(): void {}
