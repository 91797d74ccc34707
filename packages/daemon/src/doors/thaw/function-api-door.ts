import type { IncomingMessage, ServerResponse } from 'node:http';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Arrival, CallingInstance, Door } from '../../gateway/door.ts';
import { plainHeaders } from '../../gateway/plain-headers.ts';
import type { FunctionGrant } from '../../model/function-grant.ts';
import { answerError, askResource, decodeSegment } from './api-answer.ts';
import type { ThawResource } from './thaw-resource.ts';

const PREFIX = '/thaw/v1/';
const SCHEME = 'Bearer ';

export interface FunctionApiDoorDeps {
  readonly resources: readonly ThawResource[];
  /** What the function may use that shows this token. Throws ACCESS_KEY_UNKNOWN. */
  readonly grantOf: (token: string, from: CallingInstance) => FunctionGrant;
  readonly stopping: AbortSignal;
}

/**
 * The part of Thaw's API that functions have: queues and event buses that they were granted, at the same paths as
 * outside. They show the token of their instance (RFC 6750), which is good through its own port alone.
 */
export class FunctionApiDoor implements Door {
  readonly #deps: FunctionApiDoorDeps;

  constructor(deps: FunctionApiDoorDeps) {
    this.#deps = deps;
  }

  owns(_method: string, path: string): boolean {
    if (!path.startsWith(PREFIX)) return false;
    const segments = path.slice(PREFIX.length).split('/');
    return this.#deps.resources.some((resource) => resource.owns(segments));
  }

  handle(request: IncomingMessage, response: ServerResponse, arrival: Arrival): void {
    try {
      this.#route(request, response, arrival);
    } catch (error) {
      request.resume();
      answerError(response, arrival.requestId, ThawError.from(error, 'serving a function'));
    }
  }

  #route(request: IncomingMessage, response: ServerResponse, arrival: Arrival): void {
    const { path, from } = arrival;
    const { resources, grantOf, stopping } = this.#deps;
    const method = request.method ?? 'GET';
    const headers = plainHeaders(request);
    const authorization = headers['authorization'] ?? '';
    if (from === undefined || !authorization.startsWith(SCHEME)) {
      throw new ThawError(
        'SIGNATURE_MISSING',
        'a function shows its token: Authorization: Bearer <THAW_SECURITY_TOKEN>',
      );
    }
    const grant = grantOf(authorization.slice(SCHEME.length), from);
    const segments = path.slice(PREFIX.length).split('/').map(decodeSegment);
    const resource = resources.find((each) => each.owns(segments));
    if (resource?.allows?.(grant, { method, segments }) !== true) {
      throw new ThawError(
        'ACCESS_DENIED',
        `function '${from.functionName}' may not ${method} ${path}; THAW_QUEUES and THAW_EVENT_BUSES in its environment say what it may use`,
      );
    }
    const requireBody = (): void => undefined;
    const call = { method, segments, headers, accessKeyId: '' };
    askResource(resource, call, request, response, { arrival, stopping, requireBody });
  }
}
