import { PassThrough, type Duplex, type Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import type { Exchange, ExchangeFailure, HttpRequest, ResponseSink } from '../transport.ts';
import { forwardedHeaders, headerValue } from './forwarded-headers.ts';
import type { HttpClient, HttpClients } from './http-clients.ts';
import { declaresFailure, InvokeFailure, isInvoke } from './invoke-failure.ts';

/** Methods that a server may get twice (RFC 9110, section 9.2.2). */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

/** A caller that has closed its side of an upgraded connection is taken for gone after this: nobody may hold a slot. */
const HALF_OPEN_MS_MAX = 2000;

export interface HttpExchangeOwner {
  readonly clients: HttpClients;
  /** Sent with every request, flat. */
  readonly platformHeaders: readonly string[];
  /** The connection was lost before the answer was complete; `onFailure` follows when it is known whether the server lives. */
  onLost(exchange: HttpExchange, cause: Error): void;
  onEnded(exchange: HttpExchange): void;
}

/**
 * One request to a user's server and its answer. A kept connection that dies before a byte of the answer has come is
 * replaced once, where the request may be sent twice; any other request may have run, and its caller is told.
 */
export class HttpExchange implements Exchange, Dispatcher.DispatchHandler {
  readonly #owner: HttpExchangeOwner;
  readonly #request: HttpRequest;
  readonly #sink: ResponseSink;
  readonly #client: HttpClient;
  #body: Buffer | Readable | null = null;
  #controller: Dispatcher.DispatchController | undefined;
  /** After a 101, what used to be the connection. */
  #tunnel: Duplex | undefined;
  /** Collects the body of an `/invoke` that failed. */
  #failure: InvokeFailure | undefined;
  /** The connection had carried a request before this one. */
  #isReused = false;
  #isRetried = false;
  #isAnswered = false;
  #isLost = false;
  #isEnded = false;

  constructor(owner: HttpExchangeOwner, request: HttpRequest, sink: ResponseSink) {
    this.#owner = owner;
    this.#request = request;
    this.#sink = sink;
    this.#client = owner.clients.take();
  }

  start(): void {
    const { body, upgrade } = this.#request;
    if (upgrade === undefined) this.#body = Buffer.isBuffer(body) ? body : this.#forwardedBody(body);
    this.#dispatch();
  }

  resume(): void {
    this.#controller?.resume();
    this.#tunnel?.resume();
  }

  /** Breaks the connection, which is the one way to tell an HTTP/1.1 server. When its handler ends cannot be known. */
  cancel(): void {
    const errorMessage = 'the caller does not wait any more';
    this.fail({
      kind: 'reported',
      error: { errorType: 'Cancelled', errorMessage, handled: true, fatal: false },
    });
  }

  /** Ends the exchange with a failure, once. */
  fail(failure: ExchangeFailure): void {
    if (this.#isEnded) return;
    // The connection goes first: nobody is to get it with this request still on it.
    this.#isLost = true;
    this.#abort(new Error('the exchange has failed'));
    this.#end(() => this.#sink.onFailure(failure));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    this.#isReused = this.#client.carried > 0;
    this.#client.carried += 1;
    if (this.#isEnded) controller.abort(new Error('the exchange has ended'));
  }

  onResponseStarted(): void {
    this.#isAnswered = true;
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    // Hints that come before the answer are for browsers; the platform has nothing to hint at.
    if (this.#isEnded || status < 200) return;
    const rawHeaders = texts(controller.rawHeaders);
    if (isInvoke(this.#request) && declaresFailure(status, rawHeaders)) {
      this.#failure = new InvokeFailure(status, headerValue(rawHeaders, 'x-fc-status') !== undefined);
      return;
    }
    this.#sink.onHead({ status, rawHeaders: forwardedHeaders(rawHeaders) });
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#isEnded) return;
    if (this.#failure !== undefined) this.#failure.append(chunk);
    else if (!this.#sink.onData(chunk)) controller.pause();
  }

  onResponseEnd(): void {
    const failure = this.#failure;
    if (failure === undefined) this.#end(() => this.#sink.onEnd());
    else this.#end(() => this.#sink.onFailure({ kind: 'reported', error: failure.error() }));
  }

  onRequestUpgrade(
    controller: Dispatcher.DispatchController,
    status: number,
    _headers: unknown,
    socket: Duplex,
  ): void {
    const { body } = this.#request;
    // Nothing of HTTP is left on it: a server that resets the connection ends the tunnel like one that closes it.
    socket.on('error', () => undefined);
    if (this.#isEnded || Buffer.isBuffer(body)) {
      socket.destroy();
      return;
    }
    this.#tunnel = socket;
    const rawHeaders = texts(controller.rawHeaders);
    const protocol = ['Upgrade', headerValue(rawHeaders, 'upgrade') ?? ''];
    this.#sink.onHead({ status, rawHeaders: [...protocol, ...forwardedHeaders(rawHeaders)] });
    socket.on('data', (chunk: Buffer) => {
      if (!this.#sink.onData(chunk)) socket.pause();
    });
    socket.once('end', () => socket.end());
    let limit: NodeJS.Timeout | undefined;
    body.once('end', () => {
      limit = setTimeout(() => socket.destroy(), HALF_OPEN_MS_MAX);
    });
    socket.once('close', () => {
      clearTimeout(limit);
      this.#end(() => this.#sink.onEnd());
    });
    body.pipe(socket);
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    if (this.#isEnded || this.#isLost) return;
    if (this.#mayBeSentAgain(error)) {
      this.#isRetried = true;
      this.#dispatch();
    } else if (isConnectionError(error)) {
      this.#isLost = true;
      this.#owner.onLost(this, error);
    } else {
      const errorMessage = `the server's answer is not valid HTTP: ${error.message}`;
      const reported = { errorType: 'InvalidResponse', errorMessage, handled: false, fatal: false };
      this.#end(() => this.#sink.onFailure({ kind: 'reported', error: reported }));
    }
  }

  #dispatch(): void {
    const { method, url, rawHeaders, upgrade, qualifier } = this.#request;
    const options: Dispatcher.DispatchOptions = {
      method,
      path: url,
      headers: [...forwardedHeaders(rawHeaders), ...this.#owner.platformHeaders, 'x-fc-qualifier', qualifier],
      body: this.#body,
      ...(upgrade === undefined ? {} : { upgrade }),
    };
    this.#client.client.dispatch(options, this);
  }

  /** A body of its own, since the transport destroys what it cannot send while the caller's connection must live on. */
  #forwardedBody(source: Readable): Readable {
    const body = new PassThrough();
    source.pipe(body);
    source.once('close', () => {
      if (!source.readableEnded) body.destroy(new Error('the caller closed the connection'));
    });
    body.once('close', () => {
      source.unpipe(body);
      source.resume();
    });
    body.on('error', () => undefined);
    return body;
  }

  #mayBeSentAgain(error: Error): boolean {
    return (
      this.#isReused &&
      !this.#isRetried &&
      !this.#isAnswered &&
      isConnectionError(error) &&
      IDEMPOTENT.has(this.#request.method) &&
      (this.#body === null || Buffer.isBuffer(this.#body))
    );
  }

  #abort(reason: Error): void {
    this.#controller?.abort(reason);
    this.#tunnel?.destroy();
    if (this.#body !== null && !Buffer.isBuffer(this.#body)) this.#body.destroy();
  }

  #end(tell: () => void): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#owner.clients.giveBack(this.#client);
    this.#owner.onEnded(this);
    tell();
  }
}

/** Names as the server spelled them; HTTP/1.1 headers are bytes, which Latin-1 keeps. */
function texts(rawHeaders: Dispatcher.DispatchController['rawHeaders']): string[] {
  if (!Array.isArray(rawHeaders)) return [];
  return rawHeaders.map((text) => (typeof text === 'string' ? text : text.toString('latin1')));
}

/** Whether it was the connection that failed, and not what came over it. */
function isConnectionError(error: Error & { readonly code?: string }): boolean {
  return !INVALID_ANSWER_CODES.has(error.code ?? '') && error.name !== 'HTTPParserError';
}

const INVALID_ANSWER_CODES: ReadonlySet<string> = new Set([
  'UND_ERR_HEADERS_OVERFLOW',
  'UND_ERR_INVALID_ARG',
  'UND_ERR_NOT_SUPPORTED',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
]);
