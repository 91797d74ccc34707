import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Timeline } from '@thaw/protocol/timeline.ts';
import type { Readable } from 'node:stream';
import type { Clock } from '../base/clock.ts';
import type { CallSink, InstanceCall } from '../instance/instance-call.ts';
import type { Instance, StartKind } from '../instance/instance.ts';
import { binaryMessage, cloudEventOf } from '../model/cloud-event.ts';
import type { RunnableVersion } from '../model/runnable.ts';
import type { InvocationKind, TriggerKind } from '../model/trigger-kind.ts';
import type { Scheduler } from '../scheduler/scheduler.ts';
import type { Waiter } from '../scheduler/waiter.ts';
import type { HttpRequest, InstanceRequest, LogSource, ResponseHead } from '../transport/transport.ts';
import { collectBody } from './collect-body.ts';
import { httpEvent, httpEventAnswer } from './http-event.ts';
import { LogTail } from './log-tail.ts';
import { newPhases } from './phases.ts';

/** An invocation whose instance dies before it gets it is served by another so many times: a dying function must end. */
const HANDED_BACK_MAX = 2;

type HttpPayload = Pick<
  HttpRequest,
  'kind' | 'method' | 'url' | 'base' | 'rawHeaders' | 'remoteAddress' | 'scheme' | 'upgrade' | 'body'
>;

/** What came in: the bytes of an event, or a whole HTTP request. */
export type Payload = { readonly kind: 'event'; readonly body: Buffer } | HttpPayload;

export interface InvocationRequest {
  readonly requestId: string;
  readonly runnable: RunnableVersion;
  readonly qualifier: string;
  readonly trigger: TriggerKind;
  /** Absent: `sync`. */
  readonly kind?: InvocationKind;
  /** How often an asynchronous invocation has been tried before; the runtime is told. */
  readonly retryCount?: number;
  readonly payload: Payload;
  /** Monotonic milliseconds at which the gateway accepted it. */
  readonly acceptedMs: number;
  /** Where the function keeps the requests of a session on one instance. */
  readonly sessionId?: string | undefined;
  readonly wantsLogTail: boolean;
  /** Of an asynchronous invocation: its task, which has the input. */
  readonly taskId?: string;
  /** Request id of the invocation that is run again. */
  readonly replayOf?: string;
}

/** Who gets the answer. Ends with exactly one of `onEnd` or `onFailure`; after a head `onFailure` means a broken answer. */
export interface InvocationResponder {
  /** The request is with an instance. */
  onStarted?(invocation: Invocation): void;
  onHead(head: ResponseHead, invocation: Invocation): void;
  /** False asks for a pause until `resume`. */
  onData(chunk: Buffer): boolean;
  onEnd(): void;
  onFailure(error: ThawError, invocation: Invocation): void;
}

export interface InvocationDeps {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly accountId: string;
  /** Called once, when the answer is complete or has failed. */
  readonly onFinished: (invocation: Invocation, error: ThawError | undefined) => void;
  /** Keeps what a function wants kept, and gives what to run with in the place of the payload. */
  readonly recordInput?: (request: InvocationRequest) => Payload;
}

/**
 * One run of a function from accept to answer: waits for a slot, hands the request to the instance in the form that
 * its handler takes, streams the answer back and measures each phase where it happens.
 */
export class Invocation implements Waiter, CallSink {
  readonly request: InvocationRequest;
  readonly startedAtMs: number;
  readonly #deps: InvocationDeps;
  readonly #responder: InvocationResponder;
  readonly #phases = newPhases();
  readonly #logTail: LogTail | undefined;
  #payload: Payload;
  #instance: Instance | undefined;
  #call: InstanceCall | undefined;
  #coldStart = false;
  #statusCode: number | undefined;
  /** Collects an event handler's whole result, where it has to become an HTTP response first. */
  #result: Buffer[] | undefined;
  #resultBytes = 0;
  #isFinished = false;
  #timesHandedBack = 0;

  constructor(deps: InvocationDeps, request: InvocationRequest, responder: InvocationResponder) {
    this.#deps = deps;
    this.request = request;
    const { recordInput } = deps;
    const isRecorded = request.runnable.recordsInputs && recordInput !== undefined;
    this.#payload = isRecorded ? recordInput(request) : request.payload;
    this.startedAtMs = deps.clock.now();
    this.#responder = responder;
    this.#logTail = request.wantsLogTail ? new LogTail(request.requestId) : undefined;
  }

  start(): void {
    this.#deps.scheduler.acquire(this.request.runnable, this);
  }

  get sessionId(): string | undefined {
    return this.request.sessionId;
  }

  get isPatient(): boolean {
    return this.request.kind === 'async';
  }

  get instanceId(): string {
    return this.#instance?.id ?? '';
  }

  /** Of the instance that it ran on. */
  get startKind(): StartKind | undefined {
    return this.#instance?.startKind;
  }

  get isColdStart(): boolean {
    return this.#coldStart;
  }

  get statusCode(): number | undefined {
    return this.#statusCode;
  }

  /** Milliseconds, as far as the invocation has come. */
  get timeline(): Timeline {
    return this.#phases;
  }

  /** Milliseconds the handler has run, the initializer's added where this invocation caused it, rounded up. */
  get billedMs(): number {
    return Math.ceil((this.#phases.handler ?? 0) + (this.#phases.initializer ?? 0));
  }

  get memoryBytesPeak(): number | undefined {
    return this.#instance?.memoryBytesPeak();
  }

  /** Base64, or undefined when nobody asked for it. */
  encodeLogTail(): string | undefined {
    return this.#logTail?.encode();
  }

  resume(): void {
    this.#call?.resume();
  }

  /** The caller is gone. A handler that runs is told; its slot is free when it has ended. */
  cancel(): void {
    if (this.#isFinished) return;
    const error = new ThawError(
      'CLIENT_CLOSED',
      'the caller closed the connection before the answer was complete',
    );
    if (this.#instance === undefined) this.#deps.scheduler.withdraw(this.request.runnable, this);
    this.#call?.abandon();
    this.#finish(error);
  }

  /**
   * Ends it with `error`, whatever it does. A handler that runs cannot be made to stop, so its instance is ended, as
   * after a timeout, and with it whatever else runs there.
   */
  stop(error: ThawError): void {
    if (this.#isFinished) return;
    const instance = this.#instance;
    if (instance === undefined) this.#deps.scheduler.withdraw(this.request.runnable, this);
    this.#call?.abandon();
    this.#fail(error);
    instance?.kill();
  }

  onSlot(instance: Instance): void {
    const payload = this.#payload;
    const isTranslated = payload.kind === 'http' && instance.handlerKind === 'event';
    if (isTranslated && payload.upgrade !== undefined) {
      const name = this.request.runnable.functionName;
      this.#fail(
        new ThawError(
          'INVALID_ARGUMENT',
          `function '${name}' takes events and cannot switch to ${payload.upgrade}`,
        ),
      );
      return;
    }
    if (isTranslated && !Buffer.isBuffer(payload.body)) {
      this.#collectThenWait(payload, payload.body);
      return;
    }
    const nowMs = this.#deps.clock.monotonicMs();
    this.#phases.queued = nowMs - this.request.acceptedMs;
    if (isTranslated) this.#result = [];
    this.#serve(instance, this.#instanceRequest(instance, payload));
    this.#phases.placed = this.#deps.clock.monotonicMs() - nowMs;
  }

  onRefused(error: ThawError): void {
    this.#phases.queued = this.#deps.clock.monotonicMs() - this.request.acceptedMs;
    this.#fail(error);
  }

  onHead(head: ResponseHead): void {
    const nowMs = this.#deps.clock.monotonicMs();
    this.#phases.firstByte = nowMs - this.request.acceptedMs;
    this.#markHandler(nowMs);
    if (this.#result !== undefined) return;
    this.#statusCode = head.status;
    this.#responder.onHead(head, this);
  }

  onData(chunk: Buffer): boolean {
    if (this.#result === undefined) return this.#responder.onData(chunk);
    this.#resultBytes += chunk.length;
    if (this.#resultBytes <= LIMITS.syncPayloadBytesMax) this.#result.push(chunk);
    return true;
  }

  onEnd(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    this.#markHandler(nowMs);
    if (this.#result !== undefined && !this.#answerTranslated(this.#result)) return;
    this.#phases.lastByte = nowMs - this.request.acceptedMs;
    this.#responder.onEnd();
    this.#finish(undefined);
  }

  onFailure(error: ThawError): void {
    this.#markHandler(this.#deps.clock.monotonicMs());
    this.#fail(error);
  }

  /** The instance died before it got the request: nothing was at stake, so another one serves it. */
  onHandedBack(): void {
    this.#instance = undefined;
    this.#call = undefined;
    this.#timesHandedBack += 1;
    if (this.#timesHandedBack <= HANDED_BACK_MAX) {
      this.start();
      return;
    }
    const name = this.request.runnable.functionName;
    this.#fail(
      new ThawError('LINK_BROKEN', `${this.#timesHandedBack} instances of function '${name}' were lost`),
    );
  }

  onLog(_source: LogSource, text: string): void {
    this.#logTail?.append(text);
  }

  #serve(instance: Instance, request: InstanceRequest): void {
    this.#instance = instance;
    if (instance.served === 0 && this.#hasWaitedFor(instance)) {
      this.#coldStart = true;
      Object.assign(this.#phases, instance.timings);
    }
    if (this.sessionId !== undefined) {
      this.#deps.scheduler.enterSession(this.request.runnable, this.sessionId, instance);
    }
    this.#call = instance.serve(request, this);
    this.#responder.onStarted?.(this);
  }

  /** An instance that was ready before this request came was started ahead, or for another one. */
  #hasWaitedFor({ state }: Instance): boolean {
    return state.name === 'idle' && state.sinceMs >= this.request.acceptedMs;
  }

  /** The runtime got the request when the instance was awake. */
  #markHandler(nowMs: number): void {
    const { startedMs, thawMs } = this.#call ?? {};
    if (startedMs !== undefined) this.#phases.handler = nowMs - startedMs;
    if (thawMs !== undefined) this.#phases.thaw = thawMs;
  }

  /**
   * The handler takes events, so the request becomes one, whole. The slot is left to others meanwhile: a slow sender
   * must not hold an instance.
   */
  #collectThenWait(payload: HttpPayload, source: Readable): void {
    collectBody(source, LIMITS.syncPayloadBytesMax, (error, body) => {
      if (this.#isFinished) return;
      if (error !== undefined) {
        this.#fail(error);
        return;
      }
      this.#payload = { ...payload, body };
      this.start();
    });
  }

  /** Written out rather than spread from parts: copying fields one by one is what spreading costs, for each request. */
  #instanceRequest(instance: Instance, payload: Payload): InstanceRequest {
    const { requestId, qualifier, runnable, retryCount = 0 } = this.request;
    const { versionId } = runnable;
    const deadlineMs = this.#deps.clock.now() + runnable.timeoutMs;
    if (instance.handlerKind !== 'http') {
      const body = payload.kind === 'event' ? payload.body : this.#httpEvent(payload);
      return { kind: 'event', requestId, deadlineMs, qualifier, versionId, retryCount, body };
    }
    if (payload.kind === 'http') {
      const { method, url, base, remoteAddress, scheme, upgrade, body } = payload;
      const rawHeaders = payload.rawHeaders.concat(this.#controlHeaders('/http-invoke'));
      return {
        kind: 'http',
        requestId,
        deadlineMs,
        qualifier,
        versionId,
        retryCount,
        method,
        url,
        base,
        rawHeaders,
        remoteAddress,
        scheme,
        upgrade,
        body,
      };
    }
    const message = this.#eventMessage(payload.body);
    return {
      kind: 'http',
      requestId,
      deadlineMs,
      qualifier,
      versionId,
      retryCount,
      method: 'POST',
      url: '/invoke',
      base: '',
      rawHeaders: message.rawHeaders,
      remoteAddress: '127.0.0.1',
      scheme: 'http',
      upgrade: undefined,
      body: message.body,
    };
  }

  /** How a web server is told of an event: CloudEvents as their own binding has it, others as bytes. */
  #eventMessage(event: Buffer): { readonly rawHeaders: string[]; readonly body: Buffer } {
    const cloudEvent = this.request.trigger === 'eventbridge' ? cloudEventOf(event) : undefined;
    const { rawHeaders, body } = cloudEvent === undefined ? plainMessage(event) : binaryMessage(cloudEvent);
    return { rawHeaders: [...rawHeaders, ...this.#controlHeaders('/invoke')], body };
  }

  #httpEvent({ method, url, rawHeaders, remoteAddress, body }: HttpPayload): Buffer {
    if (!Buffer.isBuffer(body)) throw new Error('an event is made of a whole body');
    const { accountId } = this.#deps;
    const { requestId } = this.request;
    const nowMs = this.startedAtMs;
    return httpEvent({ requestId, accountId, method, url, rawHeaders, remoteAddress, nowMs }, body);
  }

  #controlHeaders(path: string): string[] {
    const { requestId, retryCount } = this.request;
    const retry = retryCount === undefined ? [] : ['x-fc-retry-count', String(retryCount)];
    return ['x-fc-request-id', requestId, ...retry, 'x-fc-control-path', path];
  }

  #answerTranslated(result: readonly Buffer[]): boolean {
    const name = this.request.runnable.functionName;
    if (this.#resultBytes > LIMITS.syncPayloadBytesMax) {
      const limit = `${LIMITS.syncPayloadBytesMax / 1024 / 1024} MB`;
      this.#fail(
        new ThawError(
          'RESPONSE_TOO_LARGE',
          `function '${name}' returned more than the ${limit} that an HTTP response object may have`,
        ),
      );
      return false;
    }
    try {
      const { head, body } = httpEventAnswer(Buffer.concat(result, this.#resultBytes));
      this.#statusCode = head.status;
      this.#responder.onHead(head, this);
      if (body.length > 0) this.#responder.onData(body);
      return true;
    } catch (error) {
      this.#fail(
        new ThawError(
          'RESPONSE_INVALID',
          `function '${name}' returned no valid HTTP response: ${String(error)}`,
        ),
      );
      return false;
    }
  }

  #fail(error: ThawError): void {
    if (this.#isFinished) return;
    this.#phases.lastByte = this.#deps.clock.monotonicMs() - this.request.acceptedMs;
    this.#responder.onFailure(error, this);
    this.#finish(error);
  }

  #finish(error: ThawError | undefined): void {
    if (this.#isFinished) return;
    this.#isFinished = true;
    if (this.sessionId !== undefined && this.#instance !== undefined) {
      this.#deps.scheduler.leaveSession(this.request.runnable, this.sessionId, this.#instance);
    }
    this.#deps.onFinished(this, error);
  }
}

function plainMessage(body: Buffer): { readonly rawHeaders: string[]; readonly body: Buffer } {
  const rawHeaders = ['Content-Type', 'application/octet-stream', 'Content-Length', String(body.length)];
  return { rawHeaders, body };
}
