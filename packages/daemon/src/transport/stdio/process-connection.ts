import { isUtf8 } from 'node:buffer';
import type { Duplex } from 'node:stream';
import { LIMITS } from '@thaw/protocol/limits.ts';
import type { SandboxExit } from '../../sandbox/sandbox.ts';
import type { HookName, RuntimeConnection } from '../runtime-connection.ts';
import type { Exchange, InstanceRequest, ReportedError, ResponseSink } from '../transport.ts';
import { isInvokeCall, requestVariables } from './request-variables.ts';
import { requestLine } from './request-starter.ts';
import { wholeBody } from './whole-body.ts';

export interface ProcessEvents {
  /** The process has served its one request, or is gone. */
  onClosed(cause: unknown): void;
}

/**
 * IronFunctions' `default` format: one process for one request. The payload comes on stdin until its end, the answer goes
 * to stdout until its end, the log to stderr, and 0 as the exit code says that all went well. The answer is held back
 * until that is known. The process waits in its shell (`request-starter.ts`) and serves once; the instance goes with it.
 */
export class ProcessConnection implements RuntimeConnection {
  readonly handlerKind = 'http';
  readonly #stdio: Duplex;
  readonly #events: ProcessEvents;
  readonly #settled = Promise.withResolvers<void>();
  readonly #answer: Buffer[] = [];
  #answerBytes = 0;
  #exchange: OpenExchange | undefined;
  #hasServed = false;
  #hasEnded = false;
  #exit: SandboxExit | undefined;
  #isClosed = false;

  constructor(stdio: Duplex, exited: Promise<SandboxExit>, events: ProcessEvents) {
    this.#stdio = stdio;
    this.#events = events;
    stdio.on('data', (chunk: Buffer) => this.#onData(chunk));
    // A program need not read its payload: it may well have ended before.
    stdio.on('error', () => stdio.destroy());
    for (const ending of ['end', 'close']) {
      stdio.on(ending, () => {
        this.#hasEnded = true;
        this.#settle();
      });
    }
    stdio.resume();
    void exited.then((exit) => {
      this.#exit = exit;
      this.#settle();
    });
  }

  /** Settles when the process is gone and its answer has been told. */
  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  exchange(request: InstanceRequest, sink: ResponseSink): Exchange {
    if (this.#hasServed) throw new Error('a process takes one request');
    this.#hasServed = true;
    this.#exchange = { sink, isInvokeCall: isInvokeCall(request) };
    wholeBody(request.body, (body, refusal) => {
      if (refusal !== undefined) {
        // Nothing has run, but a process that has been promised a request takes no other.
        this.#fail({ ...refusal, fatal: true });
        return;
      }
      this.#stdio.write(requestLine(requestVariables(request)));
      this.#stdio.end(body);
    });
    return NOTHING_TO_STEER;
  }

  runHook(_hook: HookName, onEnd: (error: ReportedError | undefined) => void): void {
    process.nextTick(onEnd, undefined);
  }

  close(): void {
    this.#stdio.destroy();
    if (!this.#isClosed) this.#end(new Error('the connection was closed'), undefined);
  }

  #onData(chunk: Buffer): void {
    this.#answerBytes += chunk.length;
    if (this.#answerBytes <= LIMITS.syncPayloadBytesMax) {
      this.#answer.push(chunk);
      return;
    }
    const errorMessage = `the program wrote more than ${LIMITS.syncPayloadBytesMax} bytes to stdout`;
    this.#fail({ errorType: 'ResponseTooLarge', errorMessage, handled: false, fatal: true });
  }

  /** Whichever comes last, the end of stdout or of the process, decides; the two are told on different channels. */
  #settle(): void {
    if (this.#isClosed || !this.#hasEnded || this.#exit === undefined) return;
    if (this.#exit.code === 0) {
      const body = Buffer.concat(this.#answer, this.#answerBytes);
      this.#end(new Error('the program has served its request'), body);
    } else {
      // How it ended is the instance's to tell: by itself, for its memory, by a signal.
      this.#end(new Error('the program failed'), undefined);
    }
  }

  #end(cause: Error, answer: Buffer | undefined): void {
    this.#isClosed = true;
    this.#events.onClosed(cause);
    const exchange = this.#exchange;
    this.#exchange = undefined;
    if (exchange !== undefined) {
      if (answer === undefined) exchange.sink.onFailure({ kind: 'broken', cause });
      else tell(answer, exchange);
    }
    this.#settled.resolve();
  }

  #fail(error: ReportedError): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.sink.onFailure({ kind: 'reported', error });
  }
}

/** The answer comes in one piece, and a program cannot be told that nobody waits for it. */
const NOTHING_TO_STEER: Exchange = { resume: () => undefined, cancel: () => undefined };

interface OpenExchange {
  readonly sink: ResponseSink;
  readonly isInvokeCall: boolean;
}

function tell(answer: Buffer, { sink, isInvokeCall: isInvoke }: OpenExchange): void {
  const type = isUtf8(answer) ? 'text/plain; charset=utf-8' : 'application/octet-stream';
  sink.onHead({ status: 200, rawHeaders: isInvoke ? [] : ['Content-Type', type] });
  if (answer.length > 0) sink.onData(answer);
  sink.onEnd();
}
