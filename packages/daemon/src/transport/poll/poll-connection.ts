import type { IncomingMessage, ServerResponse } from 'node:http';
import { LIMITS } from '@thaw/protocol/limits.ts';
import type { HookName, RuntimeConnection } from '../runtime-connection.ts';
import type { Exchange, InstanceRequest, LogSource, ReportedError, ResponseSink } from '../transport.ts';
import { PolledWork } from './polled-work.ts';
import { HookSink } from './hook-sink.ts';
import { accept, collect, refuse, trailingError } from './runtime-messages.ts';
import { reportedError } from './reported-error.ts';
import {
  DIALECTS,
  type PolledFunction,
  type RuntimeDialect,
  type WorkHead,
  type WorkKind,
} from './runtime-dialect.ts';

/** More than one runtime asks with at once; a client that leaves its polls behind is stopped here. */
const POLLS_MAX = 2 * LIMITS.instanceConcurrencyMax;
const ERROR_BYTES_MAX = 256 * 1024;
/** An error that ends the process is told from another by what comes next: the end, or a request for more work. */
const NEXT_AFTER_ERROR_MS_MAX = 100;

export interface PollEvents {
  /** The runtime asks for work for the first time: it is ready, unless it has an initializer to be told of. */
  onFirstPoll(dialect: RuntimeDialect): void;
  /** The runtime could not load the user's code. */
  onInitError(error: ReportedError): void;
  onLog(source: LogSource, text: string): void;
  onClosed(cause: unknown): void;
}

/**
 * A runtime that asks for its work over HTTP and posts the answers: AWS Lambda's runtime API and that of Function Compute's
 * Go SDK, both at once and told apart by their paths. As many polls as come are held, without end; work goes to the one that
 * waits longest, so that a runtime serves as many invocations at once as it asks for.
 */
export class PollConnection implements RuntimeConnection {
  readonly handlerKind = 'event';
  readonly #function: PolledFunction;
  readonly #events: PollEvents;
  readonly #queued: PolledWork[] = [];
  readonly #polls: { readonly response: ServerResponse; readonly dialect: RuntimeDialect }[] = [];
  readonly #delivered = new Map<string, PolledWork>();
  /** Work whose error is held until it is known whether the process goes on. */
  readonly #failing = new Map<
    PolledWork,
    { readonly error: ReportedError; readonly timer: NodeJS.Timeout }
  >();
  #dialect: RuntimeDialect | undefined;
  #hooks = 0;
  #isClosed = false;

  constructor(polled: PolledFunction, events: PollEvents) {
    this.#function = polled;
    this.#events = events;
  }

  /** Polls that are held because there is no work. */
  get waitingPolls(): number {
    return this.#polls.length;
  }

  exchange(request: InstanceRequest, sink: ResponseSink): Exchange {
    const { requestId, deadlineMs, qualifier, retryCount = 0, body } = request;
    const { timeoutMs } = this.#function;
    const head = { id: requestId, deadlineMs, timeoutMs, qualifier, retryCount };
    return this.#add('invocation', head, body, sink);
  }

  runHook(hook: HookName, onEnd: (error: ReportedError | undefined) => void): void {
    const timeoutS = this.#function.hooks[hook]?.timeout ?? 0;
    if (hook === 'postThaw' || this.#dialect?.runsHooks !== true) process.nextTick(onEnd, undefined);
    else this.#callHook(hook, timeoutS, onEnd);
  }

  initialize(onEnd: (error: ReportedError | undefined) => void): void {
    this.#callHook('initializer', this.#function.initializer?.timeout ?? 0, onEnd);
  }

  /** One request of the runtime's to its API. */
  handle(request: IncomingMessage, response: ServerResponse): void {
    const path = (request.url ?? '').split('?')[0] ?? '';
    const [, version = '', root, ...rest] = path.split('/');
    const dialect = DIALECTS.get(version);
    const route = `${request.method} ${rest.length === 3 ? `${rest[0]}/*/${rest[2]}` : rest.join('/')}`;
    if (dialect === undefined || root !== 'runtime') {
      refuse(request, response, 404, 'NotFound', `there is no ${path} here`);
    } else if (route === 'GET invocation/next') {
      this.#onPoll(request, response, dialect);
    } else if (route === 'POST init/error') {
      this.#onInitError(request, response, dialect);
    } else if (route === 'POST invocation/*/response' || route === 'POST invocation/*/error') {
      const work = this.#delivered.get(decode(rest[1] ?? ''));
      if (work === undefined || work.isAnswering) {
        refuse(request, response, 400, 'InvalidRequestID', 'Invalid request ID');
      } else if (rest[2] === 'response') {
        this.#onResponse(work, request, response, dialect);
      } else {
        this.#onError(work, request, response, dialect);
      }
    } else {
      refuse(request, response, 404, 'NotFound', `there is no ${request.method} ${path} here`);
    }
  }

  /** The process has ended: what it reported before was the last it did. */
  onExit(): void {
    for (const [work, { error }] of this.#failing) this.#settle(work, { ...error, fatal: true });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const cause = new Error('the runtime API is closed');
    this.#events.onClosed(cause);
    this.onExit();
    for (const work of [...this.#queued, ...this.#delivered.values()]) work.break(cause);
    for (const { response } of this.#polls.splice(0)) response.destroy();
  }

  #callHook(kind: WorkKind, timeoutS: number, onEnd: (error: ReportedError | undefined) => void): void {
    this.#hooks += 1;
    const { versionId } = this.#function;
    const head = {
      id: `${kind}-${this.#hooks}`,
      deadlineMs: Date.now() + timeoutS * 1000,
      timeoutMs: timeoutS * 1000,
      qualifier: versionId,
      retryCount: 0,
    };
    this.#add(kind, head, EMPTY, new HookSink(onEnd));
  }

  #add(
    kind: WorkKind,
    head: Omit<WorkHead, 'kind'>,
    body: PolledWork['body'],
    sink: ResponseSink,
  ): PolledWork {
    const work = new PolledWork({ ...head, kind }, body, sink, (done) => this.#forget(done));
    if (this.#isClosed) {
      process.nextTick(() => work.break(new Error('the runtime API is closed')));
      return work;
    }
    this.#queued.push(work);
    this.#match();
    return work;
  }

  #forget(work: PolledWork): void {
    this.#delivered.delete(work.head.id);
    const at = this.#queued.indexOf(work);
    if (at !== -1) this.#queued.splice(at, 1);
  }

  #onPoll(request: IncomingMessage, response: ServerResponse, dialect: RuntimeDialect): void {
    if (this.#polls.length >= POLLS_MAX) {
      refuse(request, response, 403, 'InvalidStateTransition', `${POLLS_MAX} polls wait already`);
      return;
    }
    request.resume();
    for (const [work, { error }] of this.#failing) this.#settle(work, error);
    if (dialect.asksWhenDone && this.#function.instanceConcurrency === 1) this.#failForgotten();
    const poll = { response, dialect };
    this.#polls.push(poll);
    response.once('close', () => {
      const at = this.#polls.indexOf(poll);
      if (at !== -1) this.#polls.splice(at, 1);
    });
    if (this.#dialect === undefined) {
      this.#dialect = dialect;
      this.#events.onFirstPoll(dialect);
    }
    this.#match();
  }

  /** A runtime that serves one invocation at a time asks for the next: what it has not answered it never will. */
  #failForgotten(): void {
    for (const work of this.#delivered.values()) {
      if (work.isAnswering) continue;
      work.fail({
        errorType: 'Runtime.NoResponse',
        errorMessage: 'the runtime asked for the next invocation without answering this one',
        handled: false,
        fatal: false,
      });
    }
  }

  #match(): void {
    while (this.#queued.length > 0) {
      const poll = this.#polls.shift();
      if (poll === undefined) return;
      const work = this.#queued.shift();
      if (work !== undefined) this.#deliver(work, poll.response, poll.dialect);
    }
  }

  #deliver(work: PolledWork, response: ServerResponse, dialect: RuntimeDialect): void {
    this.#delivered.set(work.head.id, work);
    const { body } = work;
    const headers = [...dialect.headers(work.head, this.#function)];
    response.once('close', () => {
      // Nobody knows how much of it the runtime has, and it cannot be asked.
      if (!response.writableFinished)
        work.break(new Error('the runtime left while it was given an invocation'));
    });
    if (Buffer.isBuffer(body)) {
      response.writeHead(200, [...headers, 'Content-Length', String(body.length)]).end(body);
      return;
    }
    response.writeHead(200, headers);
    body.once('error', () => response.destroy());
    body.once('close', () => {
      if (!body.readableEnded) response.destroy();
    });
    body.pipe(response);
  }

  #onResponse(
    work: PolledWork,
    request: IncomingMessage,
    response: ServerResponse,
    dialect: RuntimeDialect,
  ): void {
    work.isAnswering = true;
    if (request.headers['lambda-runtime-function-response-mode']?.toString().toLowerCase() === 'streaming') {
      request.once('end', () => accept(response, dialect));
      work.stream(request, () => trailingError(request));
      return;
    }
    collect(request, LIMITS.syncPayloadBytesMax, (body) => {
      if (body === 'too large') {
        const errorMessage = `Exceeded maximum allowed payload size (${LIMITS.syncPayloadBytesMax} bytes).`;
        refuse(request, response, 413, 'RequestEntityTooLarge', errorMessage);
        work.fail({
          errorType: 'Function.ResponseSizeTooLarge',
          errorMessage: `the answer is larger than ${LIMITS.syncPayloadBytesMax} bytes`,
          handled: false,
          fatal: false,
        });
      } else if (body === 'broken') {
        // Nothing of it has been told to anybody: the runtime may try again.
        work.isAnswering = false;
      } else {
        accept(response, dialect);
        work.answer(body);
      }
    });
  }

  #onError(
    work: PolledWork,
    request: IncomingMessage,
    response: ServerResponse,
    dialect: RuntimeDialect,
  ): void {
    work.isAnswering = true;
    collect(request, ERROR_BYTES_MAX, (body) => {
      if (body === 'broken') {
        work.isAnswering = false;
        return;
      }
      accept(response, dialect);
      const error =
        body === 'too large'
          ? { ...reportedError(request.headers, EMPTY), errorMessage: 'its message is too long' }
          : reportedError(request.headers, body);
      if (this.#polls.length > 0 || work.head.kind !== 'invocation') {
        work.fail(error);
        return;
      }
      const timer = setTimeout(() => this.#settle(work, error), NEXT_AFTER_ERROR_MS_MAX);
      this.#failing.set(work, { error, timer });
    });
  }

  #settle(work: PolledWork, error: ReportedError): void {
    clearTimeout(this.#failing.get(work)?.timer);
    this.#failing.delete(work);
    work.fail(error);
  }

  #onInitError(request: IncomingMessage, response: ServerResponse, dialect: RuntimeDialect): void {
    collect(request, ERROR_BYTES_MAX, (body) => {
      if (body === 'broken') return;
      accept(response, dialect);
      const error = reportedError(request.headers, body === 'too large' ? EMPTY : body);
      if (this.#dialect === undefined) this.#events.onInitError(error);
      else this.#events.onLog('stderr', `${error.errorType}: ${error.errorMessage}\n`);
    });
  }
}

const EMPTY = Buffer.alloc(0);

function decode(id: string): string {
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
}
