import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Deadline } from '../base/deadline-wheel.ts';
import type { Member } from '../base/member-set.ts';
import type {
  Exchange,
  ExchangeFailure,
  InstanceRequest,
  LogSource,
  ReportedError,
  ResponseHead,
  ResponseSink,
  Transport,
} from '../transport/transport.ts';

/** Who gets the answer. Ends with exactly one of `onEnd`, `onFailure` or `onHandedBack`. */
export interface CallSink {
  onHead(head: ResponseHead): void;
  /** False asks for a pause until `resume`. */
  onData(chunk: Buffer): boolean;
  onEnd(): void;
  onFailure(error: ThawError): void;
  /** In the place of an end: the runtime never got it and never will, so another instance may serve it. */
  onHandedBack(): void;
  onLog(source: LogSource, text: string): void;
}

/** What the instance does for its calls and hears of them: one for all, since one for each is garbage of every request. */
export interface CallOwner {
  onLog(call: InstanceCall, source: LogSource, text: string): void;
  /** The handler has ended; `isLastOfProcess` says that its process goes too. */
  onSettled(call: InstanceCall, isLastOfProcess: boolean): void;
  onBroken(call: InstanceCall, cause: unknown): void;
}

/**
 * One invocation on one instance. The answer may be settled before the handler is (a timeout), so the caller's side and
 * the slot's side end separately.
 */
export class InstanceCall implements ResponseSink, Member {
  readonly requestId: string;
  deadline: Deadline | undefined;
  place = -1;
  /** Monotonic milliseconds at which the runtime got it; undefined while it waits for a thaw. */
  startedMs: number | undefined;
  /** Milliseconds that it waited for the thaw. */
  thawMs: number | undefined;
  #isAbandoned = false;
  readonly #owner: CallOwner;
  #sink: CallSink | undefined;
  #exchange: Exchange | undefined;
  #onDone: (() => void) | undefined;

  constructor(requestId: string, sink: CallSink, owner: CallOwner) {
    this.requestId = requestId;
    this.#sink = sink;
    this.#owner = owner;
  }

  start(transport: Transport, request: InstanceRequest, nowMs: number): void {
    this.startedMs = nowMs;
    if (this.#isAbandoned) {
      this.#owner.onSettled(this, false);
      return;
    }
    this.#exchange = transport.exchange(request, this);
  }

  resume(): void {
    this.#exchange?.resume();
  }

  /** The caller is gone: nothing more is told to its sink. The slot stays taken until the handler has ended. */
  abandon(): void {
    this.#sink = undefined;
    this.#isAbandoned = true;
    this.#exchange?.cancel();
  }

  /** Answers the caller with an error, whatever the handler does. */
  fail(error: ThawError): void {
    const sink = this.#sink;
    this.#sink = undefined;
    this.#onDone?.();
    sink?.onFailure(error);
  }

  /** Only before `start`: nothing was at stake. */
  handBack(): void {
    const sink = this.#sink;
    this.#sink = undefined;
    sink?.onHandedBack();
  }

  onDone(callback: () => void): void {
    this.#onDone = callback;
  }

  onHead(head: ResponseHead): void {
    this.#sink?.onHead(head);
  }

  onData(chunk: Buffer): boolean {
    return this.#sink?.onData(chunk) ?? true;
  }

  onEnd(): void {
    const sink = this.#sink;
    this.#sink = undefined;
    sink?.onEnd();
    this.#owner.onSettled(this, false);
  }

  onFailure(failure: ExchangeFailure): void {
    if (failure.kind === 'broken') {
      this.#owner.onBroken(this, failure.cause);
      return;
    }
    const { errorType, errorMessage, stackTrace, handled, fatal } = failure.error;
    if (!handled) this.onLog('stderr', errorText(failure.error));
    this.fail(
      new ThawError('HANDLER_THREW', errorMessage, {
        details: { handled },
        functionError: { errorType, errorMessage, stackTrace: stackTrace ?? [] },
      }),
    );
    this.#owner.onSettled(this, fatal);
  }

  onLog(source: LogSource, text: string): void {
    this.#owner.onLog(this, source, text);
    this.#sink?.onLog(source, text);
  }
}

/** What a function's author looks for in its log: what a program that dies of the error would print. */
function errorText({ errorType, errorMessage, stackTrace = [] }: ReportedError): string {
  const lines = stackTrace.map((frame) =>
    Array.isArray(frame) ? `    at ${frame.join(', ')}` : String(frame),
  );
  const tellsMessage = lines[0]?.includes(errorMessage.split('\n')[0] ?? '') === true;
  return `${[...(tellsMessage ? [] : [`${errorType}: ${errorMessage}`]), ...lines].join('\n')}\n`;
}
