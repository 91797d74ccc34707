import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { ControlRequest } from './control-request.ts';

/** A request that a route was found for and whose sender is known. */
export interface FcCall {
  readonly request: ControlRequest;
  /** Decoded, by the names in the route's path. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** Parsed JSON; an empty object for a request without a body. */
  readonly json: unknown;
}

/** An object becomes the JSON body of a 200, `undefined` an empty 204. */
export type FcResult = object | void;

export interface FcRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Segments behind the version prefix; `{name}` takes one segment. */
  readonly path: string;
  /** Bytes of body that the call may have. */
  readonly bodyBytesMax?: number;
  readonly handle: (call: FcCall) => FcResult | Promise<FcResult>;
}

interface CompiledRoute {
  readonly route: FcRoute;
  readonly segments: readonly string[];
}

/** Finds the route of a path by its segments. */
export class FcRouter {
  /** By number of segments: a path is compared with few routes. */
  readonly #bySegments = new Map<number, CompiledRoute[]>();

  constructor(routes: readonly FcRoute[]) {
    for (const route of routes) {
      const segments = route.path.split('/').slice(1);
      const alike = this.#bySegments.get(segments.length) ?? [];
      alike.push({ route, segments });
      this.#bySegments.set(segments.length, alike);
    }
  }

  /** `path` is what comes behind the version prefix. Throws PATH_NOT_SUPPORTED or METHOD_NOT_ALLOWED. */
  find(
    request: ControlRequest,
    path: string,
  ): { readonly route: FcRoute; readonly params: Readonly<Record<string, string>> } {
    const segments = path.split('/').slice(1);
    const unsupported = `'${request.method}' against '${shorten(request.path)}' is not supported`;
    let isPathKnown = false;
    for (const candidate of this.#bySegments.get(segments.length) ?? []) {
      if (!matches(candidate.segments, segments)) continue;
      isPathKnown = true;
      if (candidate.route.method !== request.method) continue;
      return { route: candidate.route, params: paramsOf(candidate.segments, segments) };
    }
    throw new ThawError(isPathKnown ? 'METHOD_NOT_ALLOWED' : 'PATH_NOT_SUPPORTED', unsupported);
  }
}

export function bodyBytesMaxOf(route: FcRoute): number {
  return route.bodyBytesMax ?? LIMITS.controlBodyBytesMax;
}

function matches(pattern: readonly string[], segments: readonly string[]): boolean {
  return pattern.every((part, index) => (isParam(part) ? segments[index] !== '' : part === segments[index]));
}

function paramsOf(pattern: readonly string[], segments: readonly string[]): Record<string, string> {
  const params: Record<string, string> = {};
  for (const [index, part] of pattern.entries()) {
    if (isParam(part)) params[part.slice(1, -1)] = decodeSegment(segments[index] ?? '');
  }
  return params;
}

function isParam(part: string): boolean {
  return part.startsWith('{');
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (error) {
    throw new ThawError(
      'INVALID_ARGUMENT',
      `the path segment '${shorten(segment)}' is not valid percent-encoding`,
      {
        cause: error,
      },
    );
  }
}

const SHOWN_CHARACTERS_MAX = 256;

function shorten(text: string): string {
  return text.length > SHOWN_CHARACTERS_MAX ? `${text.slice(0, SHOWN_CHARACTERS_MAX)}…` : text;
}
