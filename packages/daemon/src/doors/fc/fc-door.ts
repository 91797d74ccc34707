import { Readable } from 'node:stream';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { asyncTaskRoutes } from './async-task-routes.ts';
import { CODE_OBJECTS_PATH, downloadCode, tempBucketToken, uploadObject } from './code-routes.ts';
import type { ControlRequest, ControlResponse } from './control-request.ts';
import type { FcDeps } from './fc-deps.ts';
import { fcErrorResponse } from './fc-error.ts';
import { bodyBytesMaxOf, FcRouter, type FcResult } from './fc-route.ts';
import { functionRoutes } from './function-routes.ts';
import { instanceRoutes } from './instance-routes.ts';
import { layerRoutes } from './layer-routes.ts';
import { parseJson, readBody } from './request-body.ts';
import { settingsRoutes } from './settings-routes.ts';
import { tagRoutes } from './tag-routes.ts';
import { triggerRoutes } from './trigger-routes.ts';
import { versionRoutes } from './version-routes.ts';

export const FC_PREFIX = '/2023-03-30';
const TEMP_BUCKET_TOKEN_PATH = '/2016-08-15/tempBucketToken';

export interface FcDoor {
  /** Whether a path belongs to this door. */
  readonly accepts: (path: string) => boolean;
  /** Always answers: what fails becomes an error body in FC's words. */
  readonly handle: (request: ControlRequest) => Promise<ControlResponse>;
}

/**
 * Function Compute 3.0's control API (2023-03-30) in front of the catalog. It translates and decides nothing.
 *
 *   route by method and path ─▶ verify the signed head ─▶ read the body, bounded ─▶ hold it against its hash
 *     ─▶ parse with the resource's schema ─▶ catalog ─▶ the resource as FC spells it
 */
export function createFcDoor(deps: FcDeps): FcDoor {
  const router = new FcRouter([
    ...functionRoutes(deps),
    ...versionRoutes(deps),
    ...triggerRoutes(deps),
    ...layerRoutes(deps),
    ...tagRoutes(deps),
    ...settingsRoutes(deps),
    ...instanceRoutes(deps),
    ...asyncTaskRoutes(deps),
  ]);
  const uploadPrefix = `/${deps.catalog.place.accountId}/`;

  const answer = async (request: ControlRequest): Promise<ControlResponse> => {
    const { path } = request;
    if (path.startsWith(CODE_OBJECTS_PATH)) return await downloadCode(deps, request);
    if (path.startsWith(uploadPrefix)) return await uploadObject(deps, request);
    if (path === TEMP_BUCKET_TOKEN_PATH) {
      requireMethod(request, 'GET');
      if (request.headers['authorization']?.startsWith('FC ') === true) deps.verifier.verifyFc(request);
      else deps.verifier.verifyAcs3(request);
      return tempBucketToken(deps, request);
    }
    return await answerApi(request);
  };

  const answerApi = async (request: ControlRequest): Promise<ControlResponse> => {
    const { route, params } = router.find(request, request.path.slice(FC_PREFIX.length));
    const head = deps.verifier.verifyAcs3(request);
    const body = await readBody(request.body, bodyBytesMaxOf(route));
    deps.verifier.requireBody(head, body);
    const call = {
      request,
      params,
      query: new URLSearchParams(request.query),
      json: route.method === 'POST' || route.method === 'PUT' ? parseJson(body) : {},
    };
    return jsonResponse(await route.handle(call), request.requestId);
  };

  return {
    accepts: (path) =>
      path.startsWith(`${FC_PREFIX}/`) || path === TEMP_BUCKET_TOKEN_PATH || path.startsWith(uploadPrefix),
    handle: async (request) => {
      try {
        return await answer(request);
      } catch (thrown) {
        const error = ThawError.from(thrown, `could not process ${request.method} ${request.path}`);
        if (error.fault === 'platform') deps.onPlatformError(error, request.requestId);
        return closingUnread(request, fcErrorResponse(error, request.requestId));
      }
    },
  };
}

function requireMethod(request: ControlRequest, method: string): void {
  if (request.method === method) return;
  throw new ThawError('METHOD_NOT_ALLOWED', `'${request.method}' against '${request.path}' is not supported`);
}

function jsonResponse(result: FcResult, requestId: string): ControlResponse {
  if (result === undefined) return { status: 204, headers: { 'x-fc-request-id': requestId }, body: '' };
  return {
    status: 200,
    headers: { 'content-type': 'application/json', 'x-fc-request-id': requestId },
    body: JSON.stringify(result),
  };
}

/** Of a request that was refused early the rest is still coming: it is thrown away, and its connection not used again. */
function closingUnread(request: ControlRequest, response: ControlResponse): ControlResponse {
  const { body, headers } = request;
  if (!(body instanceof Readable) || body.readableEnded) return response;
  body.resume();
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
  if (!hasBody) return response;
  return { ...response, headers: { ...response.headers, connection: 'close' } };
}
