import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Exchange, ReportedError, ResponseSink } from '../transport.ts';
import { LentStream } from './lent-stream.ts';

/** Statuses that end with their head, whatever it says (RFC 9110, 6.4.1). */
const BODYLESS: ReadonlySet<number | undefined> = new Set([204, 304]);

/** One request to a hot function, and its response (`HotConnection`). */
export class HotExchange implements Exchange {
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

  giveUp(cause: unknown): void {
    this.#broken = { cause };
    this.#onBroken(cause);
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
