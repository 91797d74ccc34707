import type { IncomingMessage, ServerResponse } from 'node:http';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../../base/clock.ts';
import type { Arrival, Door } from '../../gateway/door.ts';
import { plainHeaders } from '../../gateway/plain-headers.ts';
import { accessKeyOf, isBasic } from '../../gateway/signature/basic-authorization.ts';
import type { AccessKeys } from '../../gateway/signature/access-keys.ts';
import type { RequestVerifier } from '../../gateway/signature/request-verifier.ts';
import { collectBody } from '../../invocation/collect-body.ts';
import type { InvocationLog } from '../../store/invocation-log.ts';
import type { LogStore } from '../../telemetry/log-store/log-store.ts';
import { serveLive, type LiveFunctions } from './live.ts';
import { serveLogs } from './logs.ts';
import { answerError, answerJson, askResource, decodeSegment } from './api-answer.ts';
import type { ThawResource } from './thaw-resource.ts';
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
      askResource(resource, { method, segments, headers, accessKeyId }, request, response, {
        arrival,
        stopping: this.#deps.stopping,
        requireBody: (body) => {
          if (head !== undefined) verifier.requireBody(head, body);
        },
      });
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

function limitOf(parameters: URLSearchParams): number {
  const limit = Number(parameters.get('limit') ?? LIMITS.listLimitDefault);
  if (!Number.isInteger(limit) || limit < 1 || limit > LIMITS.listLimitMax) {
    throw new ThawError('INVALID_ARGUMENT', `limit must be a whole number from 1 to ${LIMITS.listLimitMax}`);
  }
  return limit;
}
