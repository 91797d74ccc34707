import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../../base/clock.ts';
import type { Arrival, Door } from '../../gateway/door.ts';
import { endAnswer } from '../../gateway/end-answer.ts';
import { plainHeaders } from '../../gateway/plain-headers.ts';
import { accessKeyOf, isBasic } from '../../gateway/signature/basic-authorization.ts';
import type { AccessKeys } from '../../gateway/signature/access-keys.ts';
import type { RequestVerifier, VerifiedHead } from '../../gateway/signature/request-verifier.ts';
import { collectBody } from '../../invocation/collect-body.ts';
import type { InvocationLog } from '../../store/invocation-log.ts';
import type { LogStore } from '../../telemetry/log-store/log-store.ts';
import { serveLive, type LiveFunctions } from './live.ts';
import { serveLogs } from './logs.ts';
import type { ThawCall, ThawResource } from './thaw-resource.ts';
import { usageAnswer, type UsageSource } from './usage.ts';

export interface ThawDoorDeps {
  readonly verifier: RequestVerifier;
  readonly keys: AccessKeys;
  /** Asked in this order, before the door's own. */
  readonly resources: readonly ThawResource[];
  readonly invocations: Pick<InvocationLog, 'get' | 'list'>;
  readonly logs: LogStore;
  readonly usage: UsageSource;
  readonly clock: Clock;
  readonly live: LiveFunctions;
  readonly requireFunction: (functionName: string) => void;
  readonly info: () => unknown;
  /** Ends what would go on for ever, log followers and live sessions, when the platform stops. */
  readonly stopping: AbortSignal;
}

const PREFIX = '/thaw/v1/';
const NOTHING = Buffer.alloc(0);

/**
 * Thaw's own API, for what FC's has no words for: logs, records of invocations, usage, live development, facts about
 * the platform. Signed like FC's.
 */
export class ThawDoor implements Door {
  readonly #deps: ThawDoorDeps;

  constructor(deps: ThawDoorDeps) {
    this.#deps = deps;
  }

  owns(_method: string, path: string): boolean {
    return path.startsWith(PREFIX);
  }

  handle(request: IncomingMessage, response: ServerResponse, arrival: Arrival): void {
    try {
      this.#route(request, response, arrival);
    } catch (error) {
      request.resume();
      answerError(response, arrival.requestId, ThawError.from(error, 'serving the platform API'));
    }
  }

  #route(request: IncomingMessage, response: ServerResponse, arrival: Arrival): void {
    const method = request.method ?? 'GET';
    const { path, query } = arrival;
    const headers = plainHeaders(request);
    const segments = path.slice(PREFIX.length).split('/').map(decodeSegment);
    const resource = this.#deps.resources.find((each) => each.owns(segments));
    const { verifier } = this.#deps;
    if (resource !== undefined) {
      const takesBasic = resource.takesBasic === true && isBasic(headers['authorization']);
      const head = takesBasic ? undefined : verifier.verifyAcs3({ method, path, query, headers });
      const accessKeyId = head?.accessKeyId ?? accessKeyOf(this.#deps.keys, headers['authorization']);
      this.#ask(resource, { method, segments, headers, accessKeyId }, head, request, response, arrival);
      return;
    }
    const head = verifier.verifyAcs3({ method, path, query, headers });
    const parameters = new URLSearchParams(query);
    const [collection, name = '', action] = segments;
    if (method === 'POST' && collection === 'functions' && action === 'live') {
      // The body never ends while the session lasts, so it cannot be held against a hash.
      serveLive(this.#deps.live, name, request, response, this.#deps.stopping);
      return;
    }
    collectBody(request, LIMITS.controlBodyBytesMax, (tooLarge, body) => {
      try {
        if (tooLarge !== undefined) throw tooLarge;
        this.#deps.verifier.requireBody(head, body);
        if (method !== 'GET')
          throw new ThawError('METHOD_NOT_ALLOWED', `${method} is not supported on ${path}`);
        if (collection === 'info') {
          answerJson(response, arrival.requestId, this.#deps.info());
        } else if (collection === 'functions' && action === 'logs') {
          this.#deps.requireFunction(name);
          serveLogs(this.#deps.logs, name, parameters, response, this.#deps.stopping);
        } else if (collection === 'invocations') {
          answerJson(response, arrival.requestId, this.#invocations(name, parameters));
        } else if (collection === 'usage') {
          const { usage, clock } = this.#deps;
          answerJson(response, arrival.requestId, usageAnswer(usage, parameters, clock.now()));
        } else {
          throw new ThawError('PATH_NOT_SUPPORTED', `there is nothing at ${path}`);
        }
      } catch (error) {
        answerError(response, arrival.requestId, ThawError.from(error, 'serving the platform API'));
      }
    });
  }

  #ask(
    resource: ThawResource,
    call: Pick<ThawCall, 'method' | 'segments' | 'headers' | 'accessKeyId'>,
    head: VerifiedHead | undefined,
    request: IncomingMessage,
    response: ServerResponse,
    { path, query, requestId }: Arrival,
  ): void {
    const ask = async (body: Buffer): Promise<void> => {
      if (head !== undefined) this.#deps.verifier.requireBody(head, body);
      const gone = new AbortController();
      const onClose = (): void => gone.abort();
      response.once('close', onClose);
      try {
        const signal = AbortSignal.any([gone.signal, this.#deps.stopping]);
        const parameters = new URLSearchParams(query);
        const answer = await resource.handle({ ...call, path, parameters, body, requestId, signal });
        if (answer.bytes === undefined) write(response, answer.status ?? 200, requestId, answer.json, []);
        else writeBytes(response, requestId, answer.bytes, answer.size);
      } finally {
        response.off('close', onClose);
      }
    };
    collectBody(request, resource.bodyBytesMax ?? LIMITS.controlBodyBytesMax, (tooLarge, body) => {
      const asked = tooLarge === undefined ? ask(body) : Promise.reject(tooLarge);
      asked.catch((thrown: unknown) => {
        answerError(response, requestId, ThawError.from(thrown, 'serving the platform API'));
      });
    });
  }

  #invocations(requestId: string, parameters: URLSearchParams): unknown {
    if (requestId === '') {
      const functionName = parameters.get('functionName');
      const before = parameters.get('before');
      const { records, next } = this.#deps.invocations.list({
        limit: limitOf(parameters),
        ...(functionName === null ? {} : { functionName }),
        ...(before === null ? {} : { before }),
      });
      return { invocations: records, ...(next === undefined ? {} : { nextToken: next }) };
    }
    const record = this.#deps.invocations.get(requestId);
    if (record === undefined) {
      throw new ThawError('INVOCATION_NOT_FOUND', `there is no record of an invocation '${requestId}'`);
    }
    return record;
  }
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (cause) {
    throw new ThawError('INVALID_ARGUMENT', `the path segment '${segment}' is not percent-encoded rightly`, {
      cause,
    });
  }
}

function limitOf(parameters: URLSearchParams): number {
  const limit = Number(parameters.get('limit') ?? LIMITS.listLimitDefault);
  if (!Number.isInteger(limit) || limit < 1 || limit > LIMITS.listLimitMax) {
    throw new ThawError('INVALID_ARGUMENT', `limit must be a whole number from 1 to ${LIMITS.listLimitMax}`);
  }
  return limit;
}

function answerJson(response: ServerResponse, requestId: string, value: unknown): void {
  write(response, 200, requestId, value, []);
}

function answerError(response: ServerResponse, requestId: string, error: ThawError): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const retry = error.retryAfterS === undefined ? [] : ['Retry-After', String(error.retryAfterS)];
  write(
    response,
    error.status,
    requestId,
    { RequestId: requestId, Code: error.code, Message: error.message },
    retry,
  );
}

/** A stream that fails half-way breaks the connection: less than its length is no whole answer. */
function writeBytes(
  response: ServerResponse,
  requestId: string,
  bytes: Buffer | Readable,
  size: number | undefined,
): void {
  const length = size === undefined ? [] : ['Content-Length', String(size)];
  response.writeHead(200, [
    'Content-Type',
    'application/octet-stream',
    ...length,
    'x-fc-request-id',
    requestId,
  ]);
  if (Buffer.isBuffer(bytes)) {
    endAnswer(response, bytes);
    return;
  }
  response.once('close', () => bytes.destroy());
  bytes.once('error', () => response.destroy());
  bytes.pipe(response);
}

function write(
  response: ServerResponse,
  status: number,
  requestId: string,
  value: unknown,
  more: string[],
): void {
  const body = value === undefined ? NOTHING : Buffer.from(JSON.stringify(value));
  response.writeHead(status, [
    ...(value === undefined ? [] : ['Content-Type', 'application/json']),
    'Content-Length',
    String(body.length),
    'x-fc-request-id',
    requestId,
    ...more,
  ]);
  endAnswer(response, body);
}
