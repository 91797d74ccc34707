import type { Duplex } from 'node:stream';
import type { HookName, RuntimeConnection } from '../runtime-connection.ts';
import type { Exchange, InstanceRequest, ReportedError, ResponseSink } from '../transport.ts';
import { HotExchange } from './hot-exchange.ts';
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
  readonly #settled = Promise.withResolvers<void>();
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

  /** Settles when the process is gone and what it wrote last has been told. */
  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  exchange(request: InstanceRequest, sink: ResponseSink): Exchange {
    if (this.#exchange !== undefined) throw new Error('a hot function takes one request at a time');
    const exchange = new HotExchange(sink, isInvokeCall(request), () => {
      this.#exchange = undefined;
      // It may have been paused for a caller that read slowly and is gone.
      this.#stdio.resume();
      this.#settleIfOver();
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

  /** Also an answer that waits for its reader ends here. */
  close(): void {
    const cause = new Error('the connection was closed');
    this.#stdio.destroy();
    this.#onClosed(cause);
    this.#exchange?.giveUp(cause);
  }

  #headersOf(request: InstanceRequest): Map<string, string> {
    const variables = [...this.#config, ...requestVariables(request)];
    const headers = variables.filter(([name]) => !HTTP_OWN.has(name));
    return new Map([...headers, ['Task-ID', request.requestId]]);
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
    this.#settleIfOver();
  }

  #settleIfOver(): void {
    if (this.#isClosed && this.#exchange === undefined) this.#settled.resolve();
  }
}

const CR = 13;
const LF = 10;

/** Variables of these names would be instructions to whoever writes or reads the request. The program has them anyway. */
const HTTP_OWN: ReadonlySet<string> = new Set([
  'CONNECTION',
  'DATE',
  'EXPECT',
  'HOST',
  'TE',
  'TRAILER',
  'UPGRADE',
  'VIA',
]);
