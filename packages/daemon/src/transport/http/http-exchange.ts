import type { Readable } from 'node:stream';
import type { Member } from '../../base/member-set.ts';
import type { Exchange, ExchangeFailure, HttpRequest, ResponseSink } from '../transport.ts';
import { AnswerError } from './answer-error.ts';
import type { AnswerHead } from './answer-head.ts';
import { headerValue } from './forwarded-headers.ts';
import type { HttpClients } from './http-clients.ts';
import { declaresFailure, InvokeFailure, isInvoke } from './invoke-failure.ts';
import { requestHead, RequestHeadError } from './request-head.ts';
import type { AnswerReader, SentRequest, ServerConnection } from './server-connection.ts';

/** Methods that a server may get twice (RFC 9110, section 9.2.2). */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

/** A caller that has closed its side of an upgraded connection is taken for gone after this: nobody may hold a slot. */
const HALF_OPEN_MS_MAX = 2000;

export interface HttpExchangeOwner {
  readonly clients: HttpClients;
  /** Whom a request is for that does not say it. */
  readonly host: string;
  /** Header lines that are sent with every request. */
  readonly platformLines: string;
  /** The connection was lost before the answer was complete; `fail` follows when it is known whether the server lives. */
  onLost(exchange: HttpExchange, cause: Error): void;
  onEnded(exchange: HttpExchange): void;
}

/**
 * One request to a user's server and its answer. A kept connection that dies before a byte of the answer has come is
 * replaced once, where the request may be sent twice; any other request may have run, and its caller is told.
 */
export class HttpExchange implements Exchange, AnswerReader, Member {
  place = -1;
  readonly #owner: HttpExchangeOwner;
  readonly #request: HttpRequest;
  readonly #sink: ResponseSink;
  #connection: ServerConnection | undefined;
  #sent: SentRequest | undefined;
  /** Collects the body of an `/invoke` that failed. */
  #failure: InvokeFailure | undefined;
  #halfOpenLimit: NodeJS.Timeout | undefined;
  /** The connection had carried a request before this one. */
  #isReused = false;
  #isEnded = false;

  constructor(owner: HttpExchangeOwner, request: HttpRequest, sink: ResponseSink) {
    this.#owner = owner;
    this.#request = request;
    this.#sink = sink;
  }

  start(): void {
    try {
      this.#sent = this.#requestToSend();
    } catch (error) {
      if (!(error instanceof RequestHeadError)) throw error;
      const { body } = this.#request;
      if (!Buffer.isBuffer(body)) body.resume();
      const errorMessage = `the request cannot be sent to the server: ${error.message}`;
      process.nextTick(() => this.#report('InvalidRequest', errorMessage));
      return;
    }
    const connection = this.#owner.clients.take();
    this.#isReused = connection.carried > 0;
    this.#send(this.#sent, connection);
  }

  resume(): void {
    this.#connection?.resume();
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
    this.#end();
    this.#sink.onFailure(failure);
  }

  onHead(head: AnswerHead): void {
    const { status, rawHeaders, upgrade } = head;
    if (status === 101) {
      this.#sink.onHead({ status, rawHeaders: ['Upgrade', upgrade ?? '', ...rawHeaders] });
      this.#beginTunnel();
    } else if (isInvoke(this.#request) && declaresFailure(status, rawHeaders)) {
      this.#failure = new InvokeFailure(status, headerValue(rawHeaders, 'x-fc-status') !== undefined);
    } else {
      this.#sink.onHead(head);
    }
  }

  onData(chunk: Buffer): boolean {
    if (this.#failure === undefined) return this.#sink.onData(chunk);
    this.#failure.append(chunk);
    return true;
  }

  onEnd(): void {
    const failure = this.#failure;
    this.#end();
    if (failure === undefined) this.#sink.onEnd();
    else this.#sink.onFailure({ kind: 'reported', error: failure.error() });
  }

  onLost(cause: Error): void {
    const hasBegun = this.#connection?.hasAnswered === true;
    if (cause instanceof AnswerError) {
      this.#report('InvalidResponse', `the server's answer is not valid HTTP: ${cause.message}`);
    } else if (this.#sent !== undefined && !hasBegun && this.#mayBeSentAgain()) {
      // On a connection of its own: the other kept ones may have died of the same.
      this.#isReused = false;
      this.#giveBack();
      this.#send(this.#sent, this.#owner.clients.takeNew());
    } else {
      this.#owner.onLost(this, cause);
    }
  }

  #send(sent: SentRequest, connection: ServerConnection): void {
    this.#connection = connection;
    connection.send(sent, this);
  }

  #requestToSend(): SentRequest {
    const { method, body, upgrade, qualifier, rawHeaders } = this.#request;
    const { platformLines, host } = this.#owner;
    const asksForUpgrade = upgrade !== undefined;
    const length = bodyLength(body, rawHeaders);
    const head = requestHead(
      this.#request,
      `${platformLines}x-fc-qualifier: ${qualifier}\r\n`,
      host,
      asksForUpgrade ? 'none' : length,
      asksForUpgrade ? `connection: upgrade\r\nupgrade: ${upgrade}\r\n` : 'connection: keep-alive\r\n',
    );
    return { head, method, body, length, asksForUpgrade };
  }

  #beginTunnel(): void {
    const { body } = this.#request;
    const connection = this.#connection;
    if (connection === undefined || Buffer.isBuffer(body)) throw new Error('a buffer cannot be a tunnel');
    connection.startTunnel(body);
    body.once('end', () => {
      if (this.#isEnded) return;
      const giveUp = (): void => connection.break(new Error('the caller is gone'));
      this.#halfOpenLimit = setTimeout(giveUp, HALF_OPEN_MS_MAX);
    });
  }

  #mayBeSentAgain(): boolean {
    return this.#isReused && IDEMPOTENT.has(this.#request.method) && Buffer.isBuffer(this.#request.body);
  }

  #report(errorType: string, errorMessage: string): void {
    this.fail({ kind: 'reported', error: { errorType, errorMessage, handled: false, fatal: false } });
  }

  /** The connection goes first: nobody is to get it with this request still on it. */
  #end(): void {
    this.#isEnded = true;
    clearTimeout(this.#halfOpenLimit);
    this.#giveBack();
    this.#owner.onEnded(this);
  }

  #giveBack(): void {
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection !== undefined) this.#owner.clients.giveBack(connection);
  }
}

/** A stream has the length that its caller said, and else comes in chunks. */
function bodyLength(body: Buffer | Readable, rawHeaders: readonly string[]): number | 'chunked' {
  if (Buffer.isBuffer(body)) return body.length;
  const length = headerValue(rawHeaders, 'content-length');
  if (length === undefined) return 'chunked';
  if (!/^\d{1,15}$/.test(length)) throw new RequestHeadError('its Content-Length is no number');
  return Number(length);
}
