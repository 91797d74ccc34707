import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import type { Exchange, ReportedError, ResponseSink } from '../transport.ts';
import type { WorkHead } from './runtime-dialect.ts';

/** One piece of work: queued, then with the runtime, then answered. Ends its sink exactly once. */
export class PolledWork implements Exchange {
  readonly head: WorkHead;
  readonly body: Buffer | Readable;
  readonly #sink: ResponseSink;
  readonly #onDone: (work: PolledWork) => void;
  #stream: IncomingMessage | undefined;
  /** Its runtime has begun to answer: nobody else may. */
  isAnswering = false;
  #isDone = false;

  constructor(
    head: WorkHead,
    body: Buffer | Readable,
    sink: ResponseSink,
    onDone: (work: PolledWork) => void,
  ) {
    this.head = head;
    this.body = body;
    this.#sink = sink;
    this.#onDone = onDone;
  }

  resume(): void {
    this.#stream?.resume();
  }

  /** The APIs have no way to tell; what comes of it is dropped. */
  cancel(): void {
    this.#stream?.resume();
  }

  answer(body: Buffer): void {
    this.#finish(() => {
      this.#sink.onHead({ status: 200, rawHeaders: [] });
      if (body.length > 0) this.#sink.onData(body);
      this.#sink.onEnd();
    });
  }

  /** The answer as it comes; `onEnd` says whether all of it came, and gives the error that followed it. */
  stream(source: IncomingMessage, errorAfter: () => ReportedError | undefined): void {
    this.#stream = source;
    this.#sink.onHead({ status: 200, rawHeaders: [] });
    source.on('data', (chunk: Buffer) => {
      if (!this.#isDone && !this.#sink.onData(chunk)) source.pause();
    });
    source.once('end', () => {
      const error = errorAfter();
      if (error === undefined) this.#finish(() => this.#sink.onEnd());
      else this.fail(error);
    });
    source.once('close', () => {
      if (!source.readableEnded) this.fail(TRUNCATED);
    });
  }

  fail(error: ReportedError): void {
    this.#finish(() => this.#sink.onFailure({ kind: 'reported', error }));
  }

  break(cause: unknown): void {
    this.#finish(() => this.#sink.onFailure({ kind: 'broken', cause }));
  }

  #finish(tell: () => void): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#onDone(this);
    tell();
  }
}

const TRUNCATED: ReportedError = {
  errorType: 'Runtime.TruncatedResponse',
  errorMessage: 'the runtime broke off within its answer',
  handled: false,
  fatal: false,
};
