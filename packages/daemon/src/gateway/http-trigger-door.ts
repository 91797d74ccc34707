import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { AsyncSubmitter } from '../invocation/async/async-request.ts';
import { collectBody } from '../invocation/collect-body.ts';
import { Invocation, type InvocationDeps, type InvocationRequest } from '../invocation/invocation.ts';
import type { HttpTrigger } from '../model/trigger.ts';
import type { ResponseHead } from '../transport/transport.ts';
import { sendAccepted } from './accepted-answer.ts';
import { corsHeaders, isPreflight, preflightHeaders } from './cors.ts';
import type { Arrival, CallerAnswer, CallerRequest, Door } from './door.ts';
import { endAnswer } from './end-answer.ts';
import { errorTypeHeader, functionErrorBody } from './function-error.ts';
import {
  idempotencyKeyOf,
  requireNoIdempotencyKey,
  sendKept,
  type IdempotentCalls,
} from './idempotent-calls.ts';
import { IdempotentResponse } from './idempotent-response.ts';
import { InvocationResponse, type AnswerForm } from './invocation-response.ts';
import { invocationTypeOf } from './invocation-type.ts';
import type { FunctionHosts } from './listener.ts';
import { plainHeaders } from './plain-headers.ts';
import type { RoutingTable } from '../catalog/routing-table.ts';
import { SmallAnswer } from './small/small-answer.ts';
import { isMoreThanACall, SMALL_BODY_BYTES_MAX, SmallRequest } from './small/small-request.ts';
import { UpgradeResponse } from './upgrade-response.ts';
import { sessionOf, withSession } from './session.ts';
import type { RequestVerifier } from './signature/request-verifier.ts';

const PREFIX = '/http/';

export interface HttpTriggerDeps {
  readonly invocation: InvocationDeps;
  readonly routes: RoutingTable;
  readonly verifier: RequestVerifier;
  readonly submitter: AsyncSubmitter;
  readonly idempotent: IdempotentCalls;
}

/**
 * Requests to functions by HTTP trigger: under `/http/<function>/<trigger>/`, the address that the API gives out, or on
 * the host `<function>.localhost`, where the function owns every path.
 */
export class HttpTriggerDoor implements Door, FunctionHosts {
  readonly #deps: HttpTriggerDeps;

  constructor(deps: HttpTriggerDeps) {
    this.#deps = deps;
  }

  owns(_method: string, path: string): boolean {
    return path.startsWith(PREFIX);
  }

  handle(request: IncomingMessage, response: ServerResponse, arrival: Arrival, socket?: Socket): void {
    const { functionName, triggerName } = namesIn(arrival.path);
    const base = `${PREFIX}${functionName}/${triggerName}`;
    const trigger = this.#deps.routes.httpTrigger(functionName, triggerName);
    this.#serve(trigger, functionName, base, request, response, arrival, socket);
  }

  handleSmall(request: SmallRequest, answer: SmallAnswer, arrival: Arrival): boolean {
    if (isMoreThanACall(request)) return false;
    const { functionName, triggerName } = namesIn(arrival.path);
    const base = `${PREFIX}${functionName}/${triggerName}`;
    const trigger = this.#deps.routes.httpTrigger(functionName, triggerName);
    this.#serve(trigger, functionName, base, request, answer, arrival, undefined);
    return true;
  }

  handleSmallHost(label: string, request: SmallRequest, answer: SmallAnswer, arrival: Arrival): boolean {
    if (isMoreThanACall(request)) return false;
    const trigger = this.#deps.routes.httpTriggerOfHost(label);
    this.#serve(trigger, label, '', request, answer, arrival, undefined);
    return true;
  }

  takesUpgrades(path: string): boolean {
    return path.startsWith(PREFIX);
  }

  handleHost(
    label: string,
    request: IncomingMessage,
    response: ServerResponse,
    arrival: Arrival,
    socket?: Socket,
  ): void {
    this.#serve(this.#deps.routes.httpTriggerOfHost(label), label, '', request, response, arrival, socket);
  }

  #serve(
    trigger: HttpTrigger | undefined,
    functionName: string,
    base: string,
    request: CallerRequest,
    response: CallerAnswer,
    arrival: Arrival,
    socket: Socket | undefined,
  ): void {
    const method = request.method ?? 'GET';
    const cors = trigger?.http.corsConfig;
    const form = new TriggerAnswerForm(cors === undefined ? [] : corsHeaders(cors, request.headers.origin));
    try {
      if (trigger === undefined) {
        throw new ThawError(
          'TRIGGER_NOT_FOUND',
          `function '${functionName}' has no HTTP trigger at this address`,
        );
      }
      if (cors !== undefined && isPreflight(method, request.headers)) {
        request.resume();
        response.writeHead(204, preflightHeaders(cors, request.headers));
        endAnswer(response, EMPTY);
        return;
      }
      const caller = this.#authorize(trigger, method, request, arrival);
      const rest = arrival.path.slice(base.length);
      const url = `${rest === '' ? '/' : rest}${arrival.query === '' ? '' : `?${arrival.query}`}`;
      const call = { trigger, caller, method, url, base, arrival, form };
      if (request instanceof SmallRequest) this.#callSmall(call, request, response);
      else if (response instanceof SmallAnswer) throw new Error('a small answer is to a small request');
      else this.#call(call, request, response, socket);
    } catch (error) {
      refuse(request, response, form, ThawError.from(error, 'serving an HTTP trigger'), arrival.requestId);
    }
  }

  #callSmall(call: TriggerCall, request: SmallRequest, response: CallerAnswer): void {
    const asked = this.#request(call, request, request.remoteAddress, undefined);
    this.#run(asked, request.body, new InvocationResponse(response, call.form));
  }

  #call(
    call: TriggerCall,
    request: IncomingMessage,
    response: ServerResponse,
    socket: Socket | undefined,
  ): void {
    if (isAsync(request, socket)) {
      requireNoIdempotencyKey(request, 'an asynchronous one runs once by its x-fc-async-task-id');
      this.#submit(call, request, response);
      return;
    }
    const upgrade = socket === undefined ? undefined : request.headers.upgrade;
    const asked = this.#request(call, request, request.socket.remoteAddress ?? '', upgrade);
    const key = idempotencyKeyOf(request);
    if (key !== undefined && socket !== undefined) {
      throw new ThawError('INVALID_ARGUMENT', 'a connection that is to be upgraded takes no Idempotency-Key');
    }
    if (key !== undefined) {
      this.#callOnce(call, key, asked, request, response);
      return;
    }
    const length = request.headers['content-length'];
    const isBodyless = length === undefined && request.headers['transfer-encoding'] === undefined;
    if (socket !== undefined) {
      this.#run(asked, socket, new UpgradeResponse(socket, response, call.form));
      return;
    }
    const answer = new InvocationResponse(response, call.form);
    if (isBodyless || length === '0') this.#run(asked, EMPTY, answer);
    else if (length === undefined || Number(length) > SMALL_BODY_BYTES_MAX) this.#run(asked, request, answer);
    else readWhole(request, Number(length), (body) => this.#run(asked, body, answer));
  }

  /** The answer to the first call of a key is every later one's. */
  #callOnce(
    { trigger, caller, method, url, form, arrival }: TriggerCall,
    key: string,
    asked: AskedRequest,
    request: IncomingMessage,
    response: ServerResponse,
  ): void {
    collectBody(request, LIMITS.syncPayloadBytesMax, (tooLarge, body) => {
      try {
        if (tooLarge !== undefined) throw tooLarge;
        const { functionName, triggerName } = trigger;
        const scope = `http ${triggerName} ${caller}`;
        const begun = this.#deps.idempotent.begin({ functionName, caller: scope, key, method, url, body });
        if ('scope' in begun) sendKept(response, begun);
        else this.#run(asked, body, new IdempotentResponse(response, form, begun));
      } catch (error) {
        refuse(request, response, form, ThawError.from(error, 'serving an HTTP trigger'), arrival.requestId);
      }
    });
  }

  /** The whole request becomes the payload of a later run. */
  #submit(
    { trigger, method, url, base, form, arrival }: TriggerCall,
    request: IncomingMessage,
    response: ServerResponse,
  ): void {
    const { requestId } = arrival;
    const taskId = request.headers['x-fc-async-task-id'];
    const http = {
      method,
      url,
      base,
      rawHeaders: withoutPlatformHeaders(request.rawHeaders),
      remoteAddress: request.socket.remoteAddress ?? '',
      scheme: 'http',
    } as const;
    this.#deps.submitter
      .submit({
        functionName: trigger.functionName,
        qualifier: trigger.qualifier,
        payload: request,
        requestId,
        trigger: 'http',
        http,
        taskId: typeof taskId === 'string' ? taskId : undefined,
      })
      .then(
        (task) => sendAccepted(response, requestId, task, form.common),
        (error: unknown) =>
          refuse(request, response, form, ThawError.from(error, 'accepting a request'), requestId),
      );
  }

  /** Who calls: an access key, or nobody known. */
  #authorize(trigger: HttpTrigger, method: string, request: CallerRequest, arrival: Arrival): string {
    const { http, functionName } = trigger;
    if (http.disableURLInternet) {
      throw new ThawError(
        'ACCESS_DENIED',
        `the public address of function '${functionName}' is switched off`,
      );
    }
    if (!http.methods.includes(method)) {
      const allowed = http.methods.join(', ');
      throw new ThawError(
        'METHOD_NOT_ALLOWED',
        `the HTTP trigger of function '${functionName}' allows ${allowed}, not ${method}`,
        { details: { allowed } },
      );
    }
    if (http.authType === 'anonymous') return '';
    const { path, query } = arrival;
    return this.#deps.verifier.verifyTrigger({ method, path, query, headers: plainHeaders(request) });
  }

  /** All that is asked of the function, but for the body. */
  #request(
    { trigger, method, url, base, form, arrival }: TriggerCall,
    request: CallerRequest,
    remoteAddress: string,
    upgrade: string | undefined,
  ): AskedRequest {
    const runnable = this.#deps.routes.resolve(trigger.functionName, trigger.qualifier, Math.random());
    const { sessionAffinity } = runnable;
    const session = sessionAffinity === undefined ? undefined : sessionOf(sessionAffinity, request.headers);
    if (session !== undefined) form.add(session.answerHeaders);
    const rawHeaders = withoutPlatformHeaders(request.rawHeaders);
    if (upgrade !== undefined && runnable.server === undefined) {
      const message = `function '${trigger.functionName}' of runtime ${runnable.runtime} cannot switch to ${upgrade}: only a web server of its own can (runtime custom)`;
      throw new ThawError('INVALID_ARGUMENT', message);
    }
    return {
      requestId: arrival.requestId,
      runnable,
      qualifier: trigger.qualifier,
      acceptedMs: arrival.acceptedMs,
      sessionId: session?.id,
      method,
      url,
      base,
      rawHeaders: session === undefined ? rawHeaders : withSession(rawHeaders, session),
      remoteAddress,
      upgrade,
    };
  }

  #run(
    asked: AskedRequest,
    body: Buffer | Readable,
    answer: InvocationResponse | UpgradeResponse | IdempotentResponse,
  ): void {
    const { requestId, runnable, qualifier, acceptedMs, sessionId } = asked;
    const { method, url, base, rawHeaders, remoteAddress, upgrade } = asked;
    const invocation = new Invocation(
      this.#deps.invocation,
      {
        requestId,
        runnable,
        qualifier,
        trigger: 'http',
        payload: {
          kind: 'http',
          method,
          url,
          base,
          rawHeaders,
          remoteAddress,
          scheme: 'http',
          upgrade,
          body,
        },
        acceptedMs,
        sessionId,
        wantsLogTail: false,
      },
      answer,
    );
    answer.follow(invocation);
  }
}

/** A request whose caller may call, and where the answer is dressed. */
interface TriggerCall {
  readonly trigger: HttpTrigger;
  /** As `#authorize` gives it. */
  readonly caller: string;
  readonly method: string;
  /** As the function sees it. */
  readonly url: string;
  readonly base: string;
  readonly arrival: Arrival;
  readonly form: TriggerAnswerForm;
}

interface AskedRequest extends Pick<
  InvocationRequest,
  'requestId' | 'runnable' | 'qualifier' | 'acceptedMs' | 'sessionId'
> {
  readonly method: string;
  readonly url: string;
  readonly base: string;
  readonly rawHeaders: readonly string[];
  readonly remoteAddress: string;
  readonly upgrade: string | undefined;
}

/** `/http/<function>/<trigger>/rest`; without the slash at the end it is the same as with it. */
function namesIn(path: string): { readonly functionName: string; readonly triggerName: string } {
  const functionEnd = path.indexOf('/', PREFIX.length);
  if (functionEnd === -1) return { functionName: path.slice(PREFIX.length), triggerName: '' };
  const triggerEnd = path.indexOf('/', functionEnd + 1);
  const triggerName = path.slice(functionEnd + 1, triggerEnd === -1 ? undefined : triggerEnd);
  return { functionName: path.slice(PREFIX.length, functionEnd), triggerName };
}

const EMPTY = Buffer.alloc(0);

/** Throws INVALID_ARGUMENT for what FC has no name for. */
function isAsync(request: IncomingMessage, socket: Socket | undefined): boolean {
  if (invocationTypeOf(request) === 'Sync') return false;
  if (socket === undefined) return true;
  throw new ThawError('INVALID_ARGUMENT', 'a connection that is to be upgraded cannot be served later');
}

function refuse(
  request: CallerRequest,
  response: CallerAnswer,
  form: TriggerAnswerForm,
  error: ThawError,
  requestId: string,
): void {
  request.resume();
  if (response.destroyed) return;
  const { status, headers, body } = form.refusal(error, requestId);
  headers.push('Content-Length', String(body.length));
  response.writeHead(status, headers);
  endAnswer(response, body);
}

/** A small body whose length is known; node:http delivers neither more nor, on `end`, less. */
function readWhole(request: IncomingMessage, length: number, onBody: (body: Buffer) => void): void {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.once('end', () => {
    const [only] = chunks;
    onBody(chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks, length));
  });
}

/** Callers may not speak for the platform. */
function withoutPlatformHeaders(rawHeaders: readonly string[]): readonly string[] {
  if (!rawHeaders.some((name, at) => at % 2 === 0 && isPlatformHeader(name))) return rawHeaders;
  return rawHeaders.filter((_, at) => !isPlatformHeader(rawHeaders[at - (at % 2)] ?? ''));
}

function isPlatformHeader(name: string): boolean {
  return name.length > 5 && name.slice(0, 5).toLowerCase() === 'x-fc-';
}

/** A function's own answer, its own failure as FC's 502, and the platform's refusals in FC's JSON form. */
class TriggerAnswerForm implements AnswerForm {
  #headers: readonly string[];

  constructor(headers: readonly string[]) {
    this.#headers = headers;
  }

  /** Flat headers that every answer gets from now on. */
  add(headers: readonly string[]): void {
    this.#headers = [...this.#headers, ...headers];
  }

  /** Flat headers that every answer gets. */
  get common(): readonly string[] {
    return this.#headers;
  }

  status(head: ResponseHead): number {
    return head.status;
  }

  headers(_head: ResponseHead, invocation: Invocation): string[] {
    return [
      'x-fc-request-id',
      invocation.request.requestId,
      'x-fc-instance-id',
      invocation.instanceId,
      ...this.#headers,
    ];
  }

  failure(error: ThawError, invocation: Invocation): { status: number; headers: string[]; body: Buffer } {
    if (error.fault !== 'function') return this.refusal(error, invocation.request.requestId);
    const headers = [
      'Content-Type',
      'application/json',
      'x-fc-request-id',
      invocation.request.requestId,
      'x-fc-error-type',
      errorTypeHeader(error),
      ...this.#headers,
    ];
    return { status: error.status, headers, body: functionErrorBody(error) };
  }

  refusal(error: ThawError, requestId: string): { status: number; headers: string[]; body: Buffer } {
    const headers = [
      'Content-Type',
      'application/json',
      'x-fc-request-id',
      requestId,
      'x-fc-error-type',
      'FcCommonError',
      ...this.#headers,
    ];
    if (error.retryAfterS !== undefined) headers.push('Retry-After', String(error.retryAfterS));
    if (error.code === 'METHOD_NOT_ALLOWED') headers.push('Allow', String(error.details['allowed']));
    const body = Buffer.from(
      JSON.stringify({ RequestId: requestId, Code: error.code, Message: error.message }),
    );
    return { status: error.status, headers, body };
  }
}
