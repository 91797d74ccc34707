import type { IncomingMessage, ServerResponse } from 'node:http';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Arrival, CallerAnswer, CallerRequest, Door } from '../../gateway/door.ts';
import { endAnswer } from '../../gateway/end-answer.ts';
import { sendAccepted } from '../../gateway/accepted-answer.ts';
import {
  type IdempotentCalls,
  idempotencyKeyOf,
  requireNoIdempotencyKey,
  sendKept,
} from '../../gateway/idempotent-calls.ts';
import { IdempotentResponse } from '../../gateway/idempotent-response.ts';
import { InvocationResponse } from '../../gateway/invocation-response.ts';
import { invocationTypeOf } from '../../gateway/invocation-type.ts';
import { plainHeaders } from '../../gateway/plain-headers.ts';
import type { SmallAnswer } from '../../gateway/small/small-answer.ts';
import { isMoreThanACall, type SmallRequest } from '../../gateway/small/small-request.ts';
import { sessionOf } from '../../gateway/session.ts';
import type { RoutingTable } from '../../catalog/routing-table.ts';
import type { RequestVerifier, VerifiedHead } from '../../gateway/signature/request-verifier.ts';
import type { AsyncSubmitter, SubmittedTask } from '../../invocation/async/async-request.ts';
import { collectBody } from '../../invocation/collect-body.ts';
import { Invocation, type InvocationDeps, type InvocationRequest } from '../../invocation/invocation.ts';
import type { RunnableVersion } from '../../model/runnable.ts';
import { fcAnswerForm } from './fc-answer-form.ts';
import { fcErrorResponse } from './fc-error.ts';
import { wantsLogTail } from './log-type.ts';

const PREFIX = '/2023-03-30/functions/';
const SUFFIX = '/invocations';

export interface FcInvokeDeps {
  readonly invocation: InvocationDeps;
  readonly routes: RoutingTable;
  readonly verifier: RequestVerifier;
  readonly submitter: AsyncSubmitter;
  readonly idempotent: IdempotentCalls;
}

/**
 * InvokeFunction of FC 3.0: raw bytes in, raw bytes out, what the platform has to say in headers. Apart from the rest of
 * the API because it is the data path: nothing here waits but for the body and the function.
 */
export class FcInvokeDoor implements Door {
  readonly #deps: FcInvokeDeps;

  constructor(deps: FcInvokeDeps) {
    this.#deps = deps;
  }

  owns(method: string, path: string): boolean {
    return method === 'POST' && path.endsWith(SUFFIX) && path.startsWith(PREFIX);
  }

  handle(request: IncomingMessage, response: ServerResponse, arrival: Arrival): void {
    try {
      this.#invoke(request, response, arrival, this.#verify(request, arrival));
    } catch (error) {
      refuse(request, response, arrival.requestId, ThawError.from(error, 'invoking a function'));
    }
  }

  handleSmall(request: SmallRequest, answer: SmallAnswer, arrival: Arrival): boolean {
    const { body } = request;
    if (isMoreThanACall(request) || !Buffer.isBuffer(body)) return false;
    try {
      const head = this.#verify(request, arrival);
      const { functionName, qualifier } = calledIn(arrival);
      const asked = this.#asked(request, arrival, functionName, qualifier);
      this.#deps.verifier.requireBody(head, body);
      this.#run({ ...asked, payload: { kind: 'event', body } }, new InvocationResponse(answer, fcAnswerForm));
    } catch (error) {
      refuse(request, answer, arrival.requestId, ThawError.from(error, 'invoking a function'));
    }
    return true;
  }

  #verify(request: CallerRequest, { path, query }: Arrival): VerifiedHead {
    return this.#deps.verifier.verifyAcs3({ method: 'POST', path, query, headers: plainHeaders(request) });
  }

  #invoke(request: IncomingMessage, response: ServerResponse, arrival: Arrival, head: VerifiedHead): void {
    const { functionName, qualifier } = calledIn(arrival);
    if (invocationTypeOf(request) === 'Async') {
      requireNoIdempotencyKey(request, 'an asynchronous one runs once by its x-fc-async-task-id');
      this.#submit(request, response, arrival, head, functionName, qualifier);
      return;
    }
    if (Number(request.headers['content-length'] ?? 0) > LIMITS.syncPayloadBytesMax) {
      throw new ThawError(
        'PAYLOAD_TOO_LARGE',
        `the payload is larger than ${LIMITS.syncPayloadBytesMax} bytes`,
      );
    }
    const known = this.#asked(request, arrival, functionName, qualifier);
    const key = idempotencyKeyOf(request);
    collectBody(request, LIMITS.syncPayloadBytesMax, (error, body) => {
      if (error !== undefined) {
        refuse(request, response, arrival.requestId, error);
        return;
      }
      try {
        this.#deps.verifier.requireBody(head, body);
        const asked = { ...known, payload: { kind: 'event', body } } as const;
        if (key === undefined) {
          this.#run(asked, new InvocationResponse(response, fcAnswerForm));
          return;
        }
        const { path, query } = arrival;
        const url = `${path}?${query}`;
        const caller = `api ${head.accessKeyId}`;
        const begun = this.#deps.idempotent.begin({ functionName, caller, key, method: 'POST', url, body });
        if ('scope' in begun) sendKept(response, begun);
        else this.#run(asked, new IdempotentResponse(response, fcAnswerForm, begun));
      } catch (mismatch) {
        refuse(request, response, arrival.requestId, ThawError.from(mismatch, 'checking a payload'));
      }
    });
  }

  /** All that is asked of the function, but for the payload. */
  #asked(
    request: CallerRequest,
    { requestId, acceptedMs }: Arrival,
    functionName: string,
    qualifier: string | undefined,
  ): Omit<InvocationRequest, 'payload'> {
    const isLogWanted = wantsLogTail(request);
    const runnable = this.#deps.routes.resolve(functionName, qualifier, Math.random());
    return {
      requestId,
      runnable,
      qualifier: qualifier ?? runnable.versionId,
      trigger: 'api',
      acceptedMs,
      sessionId: sessionNamedBy(request, runnable),
      wantsLogTail: isLogWanted,
    };
  }

  #run(asked: InvocationRequest, answer: InvocationResponse | IdempotentResponse): void {
    answer.follow(new Invocation(this.#deps.invocation, asked, answer));
  }

  /** Accepted, and told so, when it is on disk. A body of unknown or large size goes to the disk as it comes. */
  #submit(
    request: IncomingMessage,
    response: ServerResponse,
    { requestId }: Arrival,
    head: VerifiedHead,
    functionName: string,
    qualifier: string | undefined,
  ): void {
    const taskId = request.headers['x-fc-async-task-id'];
    const asked = {
      functionName,
      qualifier,
      requestId,
      trigger: 'api',
      taskId: typeof taskId === 'string' ? taskId : undefined,
    } as const;
    const answer = (accepted: Promise<SubmittedTask>): void => {
      accepted.then(
        (task) => sendAccepted(response, requestId, task),
        (thrown: unknown) => {
          const error = ThawError.from(thrown, 'accepting an asynchronous invocation');
          // What FC says of the size of synchronous bodies is 400; here the size alone is wrong.
          const status = error.code === 'PAYLOAD_TOO_LARGE' ? error.status : undefined;
          refuse(request, response, requestId, error, status);
        },
      );
    };
    const { submitter, verifier } = this.#deps;
    const length = request.headers['content-length'];
    if (Number(length ?? 0) > LIMITS.asyncPayloadBytesMax) {
      const told = `the payload of an asynchronous invocation is larger than ${LIMITS.asyncPayloadBytesMax} bytes`;
      answer(Promise.reject(new ThawError('PAYLOAD_TOO_LARGE', told)));
    } else if (length === undefined || Number(length) > COLLECTED_BYTES_MAX) {
      answer(submitter.submit({ ...asked, payload: request, payloadSha256: head.bodySha256 }));
    } else {
      collectBody(request, COLLECTED_BYTES_MAX, (error, body) => {
        if (error !== undefined) {
          refuse(request, response, requestId, error);
          return;
        }
        try {
          verifier.requireBody(head, body);
        } catch (mismatch) {
          refuse(request, response, requestId, ThawError.from(mismatch, 'checking a payload'));
          return;
        }
        answer(submitter.submit({ ...asked, payload: body }));
      });
    }
  }
}

/** Asynchronous payloads up to this size are read whole before anything else happens to them. */
const COLLECTED_BYTES_MAX = 64 * 1024;

function calledIn({ path, query }: Arrival): {
  readonly functionName: string;
  readonly qualifier: string | undefined;
} {
  const qualifier = query === '' ? null : new URLSearchParams(query).get('qualifier');
  return {
    functionName: decode(path.slice(PREFIX.length, -SUFFIX.length)),
    qualifier: qualifier ?? undefined,
  };
}

function refuse(
  request: CallerRequest,
  response: CallerAnswer,
  requestId: string,
  error: ThawError,
  status?: number,
): void {
  request.resume();
  if (response.destroyed) return;
  const answer = fcErrorResponse(error, requestId);
  const body = Buffer.from(answer.body);
  const headers = Object.entries(answer.headers).flat();
  response.writeHead(status ?? answer.status, [...headers, 'content-length', String(body.length)]);
  endAnswer(response, body);
}

/** The invoke API hands bytes over and makes no sessions: only one that the client names in the function's header counts. */
function sessionNamedBy(request: CallerRequest, runnable: RunnableVersion): string | undefined {
  const { sessionAffinity } = runnable;
  if (sessionAffinity?.kind !== 'header' || request.headers[sessionAffinity.name] === undefined)
    return undefined;
  return sessionOf(sessionAffinity, request.headers).id;
}

/** A name that is not percent-encoded rightly is nobody's name. */
function decode(name: string): string {
  if (!name.includes('%')) return name;
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
