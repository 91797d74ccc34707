import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { SmallAnswer } from './small/small-answer.ts';
import type { SmallRequest } from './small/small-request.ts';

/**
 * A door takes requests under its path prefixes and translates them for the core. It decides nothing and holds no state;
 * what it throws or rejects with is answered by its own error form, never by the gateway.
 */
export interface Door {
  /** Whether the request is this door's. Runs for every request, so it looks at the first characters only. */
  owns(method: string, path: string): boolean;
  /** `socket` is given where the caller asks for an upgrade and the door takes upgrades. */
  handle(request: IncomingMessage, response: ServerResponse, arrival: Arrival, socket?: Socket): void;
  /**
   * The same for a small request, for doors through which functions are called. False, with nothing done, where the
   * request needs more than a small answer: it comes again to `handle`.
   */
  handleSmall?(request: SmallRequest, answer: SmallAnswer, arrival: Arrival): boolean;
}

/** What doors that take both kinds read of a request. */
export type CallerRequest = IncomingMessage | SmallRequest;
export type CallerAnswer = ServerResponse | SmallAnswer;

/** What the gateway has already learned of a request. */
export interface Arrival {
  readonly requestId: string;
  /** Monotonic milliseconds. */
  readonly acceptedMs: number;
  /** Percent-encoded, without the query. */
  readonly path: string;
  /** Without the `?`; empty when there is none. */
  readonly query: string;
  /** The instance that sends it, where it came through that instance's own port. */
  readonly from?: CallingInstance;
}

export interface CallingInstance {
  readonly functionName: string;
  readonly instanceId: string;
}
