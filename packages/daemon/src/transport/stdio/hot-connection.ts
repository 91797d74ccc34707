import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { HookName, RuntimeConnection } from '../runtime-connection.ts';
import type { Exchange, InstanceRequest, ReportedError, ResponseSink } from '../transport.ts';
import { LentStream } from './lent-stream.ts';
import { configVariables, isInvokeCall, requestVariables } from './request-variables.ts';
import { wholeBody } from './whole-body.ts';

export interface HotEvents {
  /** The process closed its output, or wrote what nobody asked for: it must not be used again. */
  onClosed(cause: unknown): void;
}

/**
 * A hot function of IronFunctions: one process that reads HTTP/1.1 requests from stdin and writes the responses to stdout,
 * one after the other. Every request is `GET /` with an empty Host, the length of its body, and what there is to know
 * about it as headers (`request-variables.ts`). A response names its length too (unless its status allows no body):
 * nothing else tells where it ends. Whatever breaks that puts the process out of step with its requests for good, so it
 * fails the request and ends the process.
 *
 * IronFunctions ignores the response's status. Here the invoke API does too, and a trigger's caller gets it.
 */
export class HotConnection implements RuntimeConnection {
  readonly handlerKind = 'http';
  readonly #stdio: Duplex;
  readonly #events: HotEvents;
  readonly #config: ReadonlyMap<string, string>;
  #exchange: HotExchange | undefined;
  #isClosed = false;

  constructor(stdio: Duplex, environment: Readonly<Record<string, string>>, events: HotEvents) {
    this.#stdio = stdio;
    this.#events = events;
    this.#config = configVariables(environment);
    stdio.on('data', (chunk: Buffer) => this.#onData(chunk));
    stdio.on('error', () => stdio.destroy());
    stdio.on('end', () => this.#onClosed(new Error('the program closed its stdout')));
    stdio.on('close', () => this.#onClosed(new Error('the program is gone')));
    stdio.resume();
  }

  exchange(request: InstanceRequest, sink: ResponseSink): Exchange {
    if (this.#exchange !== undefined) throw new Error('a hot function takes one request at a time');
    const exchange = new HotExchange(sink, isInvokeCall(request), () => {
      this.#exchange = undefined;
      // It may have been paused for a caller that read slowly and is gone.
      this.#stdio.resume();
    });
    if (this.#isClosed) {
      process.nextTick(() => exchange.break(new Error('the program is gone')));
      return exchange;
    }
    this.#exchange = exchange;
    wholeBody(request.body, (body, refusal) => {
      if (refusal === undefined) exchange.send(this.#stdio, this.#headersOf(request), body);
      else exchange.fail(refusal);
    });
    return exchange;
  }

  runHook(_hook: HookName, onEnd: (error: ReportedError | undefined) => void): void {
    // The protocol knows nothing but requests.
    process.nextTick(onEnd, undefined);
  }

  close(): void {
    this.#stdio.destroy();
  }

  #headersOf(request: InstanceRequest): Map<string, string> {
    return new Map([...this.#config, ...requestVariables(request), ['Task-ID', request.requestId]]);
  }

  #onData(chunk: Buffer): void {
    if (this.#exchange !== undefined) {
      if (!this.#exchange.receive(chunk)) this.#stdio.pause();
      return;
    }
    // HTTP lets empty lines stand between messages (RFC 9112, 2.2); a program's last newline is often one too many.
    if (chunk.every((byte) => byte === CR || byte === LF)) return;
    this.#onClosed(new Error(`the program wrote ${chunk.length} bytes that belong to no response`));
    this.#stdio.destroy();
  }

  #onClosed(cause: unknown): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#events.onClosed(cause);
    this.#exchange?.break(cause);
  }
}

const CR = 13;
const LF = 10;

/** Statuses that end with their head, whatever it says (RFC 9110, 6.4.1). */
const BODYLESS: ReadonlySet<number | undefined> = new Set([204, 304]);

/** One request and its response. */
class HotExchange implements Exchange {
  readonly #sink: ResponseSink;
  readonly #isInvokeCall: boolean;
  readonly #onDone: () => void;
  #lent: LentStream | undefined;
  #request: ClientRequest | undefined;
  #response: IncomingMessage | undefined;
  #isDone = false;
  #broken: { readonly cause: unknown } | undefined;

  constructor(sink: ResponseSink, isInvoke: boolean, onDone: () => void) {
    this.#sink = sink;
    this.#isInvokeCall = isInvoke;
    this.#onDone = onDone;
  }

  send(stdio: Duplex, headers: ReadonlyMap<string, string>, body: Buffer): void {
    if (this.#isDone) return;
    const lent = new LentStream(stdio);
    this.#lent = lent;
    const request = httpRequest({
      method: 'GET',
      path: '/',
      setHost: false,
      createConnection: () => lent,
    });
    this.#request = request;
    request.on('response', (response) => this.#onResponse(response));
    request.on('error', (error) => this.#onBadResponse(error));
    // A switch of protocols, for one, is given up without an error.
    lent.on('close', () => {
      if (this.#broken === undefined) this.#fail('it breaks HTTP');
    });
    request.setHeader('Host', '');
    request.setHeader('Content-Length', body.length);
    for (const [name, value] of headers) request.setHeader(name, headerText(value));
    // Not a connection as HTTP means it: it stays open whatever a header says.
    request.removeHeader('Connection');
    request.end(body);
  }

  /** False asks for a pause; the stream goes on by itself when there is room. */
  receive(chunk: Buffer): boolean {
    if (this.#lent === undefined || this.#lent.destroyed) {
      this.#fail('it answered before the request was sent');
      return true;
    }
    return this.#lent.push(chunk);
  }

  resume(): void {
    this.#response?.resume();
  }

  /** The answer is read to its end and dropped; there is no way to tell the program. */
  cancel(): void {
    this.#response?.resume();
  }

  fail(error: ReportedError): void {
    this.#finish(() => this.#sink.onFailure({ kind: 'reported', error }));
  }

  /** The process is gone. What it wrote last may be the rest of a response, and is read first. */
  break(cause: unknown): void {
    this.#broken = { cause };
    if (this.#lent === undefined || this.#lent.destroyed) this.#onBroken(cause);
    else this.#lent.push(null);
  }

  #onResponse(response: IncomingMessage): void {
    this.#response = response;
    const { statusCode = 200, rawHeaders } = response;
    if (response.headers['content-length'] === undefined && !BODYLESS.has(statusCode)) {
      this.#fail('it has no Content-Length');
      return;
    }
    response.on('data', (chunk: Buffer) => {
      if (!this.#isDone && !this.#sink.onData(chunk)) response.pause();
    });
    response.on('error', (error) => this.#onBadResponse(error));
    response.on('end', () => {
      // Node's client gives up a stream on which more has come than it asked for.
      if (this.#lent?.destroyed === true && this.#broken === undefined)
        this.#fail('more followed than its Content-Length');
      else this.#finish(() => this.#sink.onEnd());
    });
    this.#sink.onHead({ status: this.#isInvokeCall ? 200 : statusCode, rawHeaders });
  }

  #onBadResponse(error: Error): void {
    if (this.#broken === undefined) this.#fail(error.message);
    else this.#onBroken(this.#broken.cause);
  }

  #onBroken(cause: unknown): void {
    this.#finish(() => this.#sink.onFailure({ kind: 'broken', cause }));
  }

  /** The process is out of step. */
  #fail(what: string): void {
    const errorMessage = `the program's response on stdout is not valid: ${what}`;
    this.fail({ errorType: 'ResponseInvalid', errorMessage, handled: false, fatal: true });
  }

  #finish(tell: () => void): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#onDone();
    tell();
    this.#request?.destroy();
  }
}

/** UTF-8 as it is; what HTTP does not allow in a value becomes a blank, as Go's client does it with newlines. */
function headerText(value: string): string {
  return Buffer.from(value, 'utf8')
    .toString('latin1')
    .replaceAll(/[^\t\x20-\x7e\x80-\xff]/gu, ' ');
}
