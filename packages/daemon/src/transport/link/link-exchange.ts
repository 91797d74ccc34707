import type { Readable } from 'node:stream';
import { usedBuffer } from '../../base/buffer-garbage.ts';
import type {
  Exchange,
  ExchangeFailure,
  InstanceRequest,
  LogSource,
  ReportedError,
  ResponseSink,
} from '../transport.ts';
import { DATA_BYTES_MAX, LinkProtocolError, STREAM_WINDOW_BYTES } from './frame.ts';
import { parseResponseHead } from './link-messages.ts';

/** What an exchange needs of its connection: to send frames on its own stream, and to be forgotten at its end. */
export interface ExchangeChannel {
  sendRequest(stream: number, head: string, body: Buffer, isEnd: boolean): void;
  sendData(stream: number, body: Buffer, isEnd: boolean): void;
  sendCredit(stream: number, bytes: number): void;
  sendCancel(stream: number): void;
  forget(stream: number): void;
}

/**
 * Credit goes back in pieces of this size: each is a write here and wakes the runtime there. Half of the window is what
 * the runtime always has to go on with.
 */
const CREDIT_BATCH_BYTES = STREAM_WINDOW_BYTES / 2;

/**
 * One stream of the link: a request on its way in, its answer on its way out, each within the stream's window.
 *
 * ```
 * request   whole in REQUEST, or pumped in DATA frames while the window lasts
 * answer    RESPONSE, DATA…, END ─▶ onEnd       ERROR ─▶ onFailure(reported)       connection lost ─▶ onFailure(broken)
 * ```
 */
export class LinkExchange implements Exchange {
  readonly #channel: ExchangeChannel;
  readonly #stream: number;
  readonly #sink: ResponseSink;
  #ended = false;
  #cancelled = false;

  #sendWindow = STREAM_WINDOW_BYTES;
  /** Body bytes that wait for the window; a source that is a stream is paused meanwhile. */
  #unsent: Buffer[] = [];
  #source: Readable | undefined;
  #sourceEnded = false;
  #endSent = false;

  #headSeen = false;
  #receiveWindow = STREAM_WINDOW_BYTES;
  #uncredited = 0;
  #paused = false;

  constructor(channel: ExchangeChannel, stream: number, request: InstanceRequest, sink: ResponseSink) {
    this.#channel = channel;
    this.#stream = stream;
    this.#sink = sink;
    this.#open(request);
  }

  resume(): void {
    this.#paused = false;
    this.#grant(0);
  }

  cancel(): void {
    if (this.#ended || this.#cancelled) return;
    this.#cancelled = true;
    this.#stopSource();
    this.#channel.sendCancel(this.#stream);
    this.resume();
  }

  onCredit(bytes: number): void {
    this.#sendWindow += bytes;
    if (this.#sendWindow > STREAM_WINDOW_BYTES)
      throw new LinkProtocolError('a stream was granted more than its window');
    this.#pump();
  }

  onResponse(headText: string, body: Buffer, isEnd: boolean): void {
    if (this.#headSeen) throw new LinkProtocolError('a stream was answered twice');
    this.#headSeen = true;
    this.#sink.onHead(parseResponseHead(headText));
    this.onData(body, isEnd);
  }

  onData(body: Buffer, isEnd: boolean): void {
    if (!this.#headSeen) throw new LinkProtocolError('a body came before its head');
    this.#receiveWindow -= body.length;
    if (this.#receiveWindow < 0) throw new LinkProtocolError('a stream sent more than its window');
    if (body.length > 0) {
      if (!this.#sink.onData(body)) this.#paused = true;
      if (!isEnd) this.#grant(body.length);
    }
    if (isEnd) {
      this.#finish();
      this.#sink.onEnd();
    }
  }

  onError(error: ReportedError): void {
    this.#fail({ kind: 'reported', error });
  }

  onLog(source: LogSource, text: string): void {
    this.#sink.onLog(source, text);
  }

  onBroken(cause: unknown): void {
    this.#fail({ kind: 'broken', cause });
  }

  #open(request: InstanceRequest): void {
    const head = requestHead(request);
    if (Buffer.isBuffer(request.body)) {
      const first = request.body.subarray(0, STREAM_WINDOW_BYTES);
      const isWhole = first.length === request.body.length;
      this.#sendWindow -= first.length;
      this.#endSent = isWhole;
      this.#channel.sendRequest(this.#stream, head, first, isWhole);
      if (!isWhole) {
        this.#unsent.push(request.body.subarray(first.length));
        this.#sourceEnded = true;
      }
      return;
    }
    this.#channel.sendRequest(this.#stream, head, Buffer.alloc(0), false);
    const source = request.body;
    this.#source = source;
    source.on('data', this.#onSourceData);
    source.once('end', this.#onSourceEnd);
    source.once('error', this.#onSourceLost);
    source.once('close', this.#onSourceLost);
    if (source.readableEnded) this.#onSourceEnd();
  }

  readonly #onSourceData = (chunk: Buffer): void => {
    usedBuffer(chunk.length);
    this.#unsent.push(chunk);
    this.#pump();
  };

  readonly #onSourceEnd = (): void => {
    this.#sourceEnded = true;
    this.#pump();
  };

  /** A body that breaks off must not look like a whole one: the handler is told that its caller is gone. */
  readonly #onSourceLost = (): void => {
    if (!this.#sourceEnded) this.cancel();
  };

  #pump(): void {
    if (this.#ended || this.#cancelled || this.#endSent) return;
    let next = this.#unsent[0];
    while (next !== undefined && this.#sendWindow > 0) {
      const piece = next.subarray(0, Math.min(this.#sendWindow, DATA_BYTES_MAX));
      if (piece.length === next.length) this.#unsent.shift();
      else this.#unsent[0] = next.subarray(piece.length);
      this.#sendWindow -= piece.length;
      next = this.#unsent[0];
      this.#endSent = next === undefined && this.#sourceEnded;
      this.#channel.sendData(this.#stream, piece, this.#endSent);
    }
    if (next !== undefined) this.#source?.pause();
    else if (!this.#sourceEnded) this.#source?.resume();
    else if (!this.#endSent) {
      this.#endSent = true;
      this.#channel.sendData(this.#stream, Buffer.alloc(0), true);
    }
  }

  #grant(bytes: number): void {
    this.#uncredited += bytes;
    if (this.#paused || this.#ended || this.#uncredited < CREDIT_BATCH_BYTES) return;
    this.#channel.sendCredit(this.#stream, this.#uncredited);
    this.#receiveWindow += this.#uncredited;
    this.#uncredited = 0;
  }

  #fail(failure: ExchangeFailure): void {
    if (this.#ended) return;
    this.#finish();
    this.#sink.onFailure(failure);
  }

  #finish(): void {
    this.#ended = true;
    this.#stopSource();
    this.#channel.forget(this.#stream);
  }

  #stopSource(): void {
    this.#unsent = [];
    const source = this.#source;
    if (source === undefined) return;
    this.#source = undefined;
    source.off('data', this.#onSourceData);
    source.off('end', this.#onSourceEnd);
    source.off('error', this.#onSourceLost);
    source.off('close', this.#onSourceLost);
    // What the caller still sends is read and dropped, so that its connection can carry the answer and the next request.
    source.on('error', ignore);
    source.resume();
  }
}

function ignore(): void {}

function requestHead(request: InstanceRequest): string {
  const { requestId, deadlineMs, qualifier, versionId, retryCount: retry = 0 } = request;
  const deadline = Math.round(deadlineMs);
  if (request.kind === 'event') {
    return `{"id":"${requestId}","kind":"event","deadline":${deadline},"qualifier":"${qualifier}","versionId":"${versionId}","retry":${retry}}`;
  }
  return JSON.stringify({
    id: requestId,
    kind: 'http',
    deadline,
    qualifier,
    versionId,
    retry,
    method: request.method,
    url: request.url,
    base: request.base,
    headers: request.rawHeaders,
    remote: request.remoteAddress,
    scheme: request.scheme,
  });
}
