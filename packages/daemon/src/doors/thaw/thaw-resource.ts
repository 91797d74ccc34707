import type { Readable } from 'node:stream';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { FunctionGrant } from '../../model/function-grant.ts';

/**
 * One part of Thaw's own API. The door has verified who calls and read the whole body; what a resource throws or
 * rejects with is answered in the API's error form.
 */
export interface ThawResource {
  /** Whether it answers there, whatever the method. `segments` are those behind `/thaw/v1/`, decoded. */
  owns(segments: readonly string[]): boolean;
  /** That of any control call where absent. */
  readonly bodyBytesMax?: number;
  /** Also callers that cannot sign (senders of events, `curl`): they show an access key by HTTP Basic (RFC 7617). */
  readonly takesBasic?: boolean;
  /** Whether a function that is granted this may ask it. Functions are refused where absent. */
  allows?(grant: FunctionGrant, call: Pick<ThawCall, 'method' | 'segments'>): boolean;
  handle(call: ThawCall): ThawAnswer | Promise<ThawAnswer>;
}

export interface ThawCall {
  readonly method: string;
  readonly path: string;
  readonly segments: readonly string[];
  readonly parameters: URLSearchParams;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly accessKeyId: string;
  readonly requestId: string;
  /** Aborts when the caller has gone or the platform stops: what waits for long must end then. */
  readonly signal: AbortSignal;
}

export interface ThawAnswer {
  /** 200 where absent. */
  readonly status?: number;
  /** Answered as JSON; no body where absent. */
  readonly json?: unknown;
  /** Answered as they are, in the place of JSON; `size` of them. */
  readonly bytes?: Buffer | Readable;
  readonly size?: number;
}

export function noSuchMethod({ method, path }: Pick<ThawCall, 'method' | 'path'>): ThawError {
  return new ThawError('METHOD_NOT_ALLOWED', `${method} is not supported on ${path}`);
}
