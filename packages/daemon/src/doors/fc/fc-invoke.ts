import type { IncomingMessage, ServerResponse } from 'node:http';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Arrival, Door } from '../../gateway/door.ts';
import { sendAccepted } from '../../gateway/accepted-answer.ts';
import { errorTypeHeader, functionErrorBody } from '../../gateway/function-error.ts';
import { InvocationResponse, type AnswerForm } from '../../gateway/invocation-response.ts';
import { plainHeaders } from '../../gateway/plain-headers.ts';
import { sessionOf } from '../../gateway/session.ts';
import type { RoutingTable } from '../../catalog/routing-table.ts';
import type { RequestVerifier, VerifiedHead } from '../../gateway/signature/request-verifier.ts';
import type { AsyncSubmitter, SubmittedTask } from '../../invocation/async/async-request.ts';
import { collectBody } from '../../invocation/collect-body.ts';
import { Invocation, type InvocationDeps } from '../../invocation/invocation.ts';
import type { RunnableVersion } from '../../model/runnable.ts';
import type { ResponseHead } from '../../transport/transport.ts';
import { sendControlResponse } from './fc-control-door.ts';
import { fcErrorResponse } from './fc-error.ts';

const PREFIX = '/2023-03-30/functions/';
const SUFFIX = '/invocations';

export interface FcInvokeDeps {
  readonly invocation: InvocationDeps;
  readonly routes: RoutingTable;
  readonly verifier: RequestVerifier;
  readonly submitter: AsyncSubmitter;
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
      const { path, query } = arrival;
      const head = this.#deps.verifier.verifyAcs3({
        method: 'POST',
        path,
        query,
        headers: plainHeaders(request),
      });
      this.#invoke(request, response, arrival, head);
    } catch (error) {
      refuse(request, response, arrival.requestId, ThawError.from(error, 'invoking a function'));
    }
  }

  #invoke(request: IncomingMessage, response: ServerResponse, arrival: Arrival, head: VerifiedHead): void {
    const functionName = decode(arrival.path.slice(PREFIX.length, -SUFFIX.length));
    const qualifier =
      arrival.query === '' ? undefined : (new URLSearchParams(arrival.query).get('qualifier') ?? undefined);
    const type = request.headers['x-fc-invocation-type'] ?? 'Sync';
    if (type === 'Async') {
      this.#submit(request, response, arrival, head, functionName, qualifier);
      return;
    }
    if (type !== 'Sync') {
      throw new ThawError(
        'INVALID_ARGUMENT',
        `x-fc-invocation-type must be Sync or Async, not '${String(type)}'`,
      );
    }
    const logType = request.headers['x-fc-log-type'] ?? 'None';
    if (logType !== 'None' && logType !== 'Tail') {
      throw new ThawError('INVALID_ARGUMENT', `x-fc-log-type must be None or Tail, not '${String(logType)}'`);
    }
    if (Number(request.headers['content-length'] ?? 0) > LIMITS.syncPayloadBytesMax) {
      throw new ThawError(
        'PAYLOAD_TOO_LARGE',
        `the payload is larger than ${LIMITS.syncPayloadBytesMax} bytes`,
      );
    }
    const runnable = this.#deps.routes.resolve(functionName, qualifier, Math.random());
    const sessionId = sessionNamedBy(request, runnable);
    collectBody(request, LIMITS.syncPayloadBytesMax, (error, body) => {
      if (error !== undefined) {
        refuse(request, response, arrival.requestId, error);
        return;
      }
      try {
        this.#deps.verifier.requireBody(head, body);
      } catch (mismatch) {
        refuse(request, response, arrival.requestId, ThawError.from(mismatch, 'checking a payload'));
        return;
      }
      const answer = new InvocationResponse(response, fcAnswerForm);
      const invocation = new Invocation(
        this.#deps.invocation,
        {
          requestId: arrival.requestId,
          runnable,
          qualifier: qualifier ?? runnable.versionId,
          trigger: 'api',
          payload: { kind: 'event', body },
          acceptedMs: arrival.acceptedMs,
          sessionId,
          wantsLogTail: logType === 'Tail',
        },
        answer,
      );
      answer.follow(invocation);
    });
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

function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
  error: ThawError,
  status?: number,
): void {
  request.resume();
  if (response.destroyed) return;
  const answer = fcErrorResponse(error, requestId);
  sendControlResponse(response, status === undefined ? answer : { ...answer, status });
}

/** The invoke API hands bytes over and makes no sessions: only one that the client names in the function's header counts. */
function sessionNamedBy(request: IncomingMessage, runnable: RunnableVersion): string | undefined {
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

/** FC's headers around the function's bytes (FC 3.0, InvokeFunction). */
const fcAnswerForm: AnswerForm = {
  /** The function was invoked, whatever its HTTP handler thinks of the request: clients take all else for FC's own errors. */
  status: () => 200,

  headers(head: ResponseHead, invocation: Invocation): string[] {
    const headers = invocationHeaders(invocation);
    // An HTTP handler may say what its bytes are; an event handler's are just bytes.
    if (head.rawHeaders.length === 0) headers.push('Content-Type', 'application/octet-stream');
    if (head.status !== 200) headers.push('x-fc-http-status', String(head.status));
    return headers;
  },

  failure(error: ThawError, invocation: Invocation): { status: number; headers: string[]; body: Buffer } {
    if (error.fault !== 'function') {
      const { status, headers, body } = fcErrorResponse(error, invocation.request.requestId);
      return { status, headers: Object.entries(headers).flat(), body: Buffer.from(String(body)) };
    }
    const headers = invocationHeaders(invocation);
    headers.push('Content-Type', 'application/json', 'x-fc-error-type', errorTypeHeader(error));
    return { status: 200, headers, body: functionErrorBody(error) };
  },
};

function invocationHeaders(invocation: Invocation): string[] {
  const { requestId, runnable } = invocation.request;
  const headers = [
    'x-fc-request-id',
    requestId,
    'x-fc-instance-id',
    invocation.instanceId,
    'x-fc-code-checksum',
    runnable.codeChecksum,
    'x-fc-invocation-service-version',
    runnable.versionId,
    'x-fc-invocation-duration',
    String(Math.ceil(invocation.timeline.handler ?? 0)),
  ];
  const memoryBytes = invocation.memoryBytesPeak;
  if (memoryBytes !== undefined)
    headers.push('x-fc-max-memory-usage', (memoryBytes / 1024 / 1024).toFixed(2));
  const logTail = invocation.encodeLogTail();
  if (logTail !== undefined) headers.push('x-fc-log-result', logTail);
  return headers;
}
