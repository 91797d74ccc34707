import type { FunctionErrorBody } from '@thaw/protocol/thaw-error.ts';
import type { Readable } from 'node:stream';

/**
 * How invocations reach an instance. One implementation for each kind of runtime (`link` for our shims).
 *
 * Contract:
 *  1. Every exchange ends with exactly one of `onEnd` or `onFailure`, whatever dies; nothing is called after it.
 *  2. `onHead` comes first and once, before any `onData`.
 *  3. After `onData` returned false no more data comes until `resume` (what is under way may still arrive, bounded by
 *     the window).
 *  4. A request body that is a stream is read only as fast as the instance takes it.
 *  5. `cancel` tells the instance that nobody waits; the exchange still ends when the handler has ended.
 *  6. When the connection breaks every open exchange fails with LINK_BROKEN.
 */
export interface Transport {
  readonly handlerKind: HandlerKind;
  exchange(request: InstanceRequest, sink: ResponseSink): Exchange;
  close(): void;
}

export type HandlerKind = 'event' | 'http';

interface RequestBase {
  readonly requestId: string;
  /** Milliseconds since 1970. */
  readonly deadlineMs: number;
  readonly qualifier: string;
  readonly versionId: string;
  /** How often it has been tried before; absent: 0. */
  readonly retryCount?: number;
  readonly body: Buffer | Readable;
}

export interface EventRequest extends RequestBase {
  readonly kind: 'event';
}

export interface HttpRequest extends RequestBase {
  readonly kind: 'http';
  readonly method: string;
  /** Path and query as received, below `base`. */
  readonly url: string;
  /** Public prefix under which the function is mounted; empty on a host of its own. */
  readonly base: string;
  /** Names and values in turn, as received. */
  readonly rawHeaders: readonly string[];
  readonly remoteAddress: string;
  readonly scheme: 'http' | 'https';
  /**
   * The protocol that the caller wants to go on with, from its `Upgrade` header. The exchange then carries the bytes of
   * both directions after a head of status 101 (with its `Upgrade` header): `body` is what the caller sends, `onData` what
   * it gets. With any other status it is an ordinary answer.
   */
  readonly upgrade?: string | undefined;
}

export type InstanceRequest = EventRequest | HttpRequest;

/** An event's answer has status 200 and no headers of its own. */
export interface ResponseHead {
  readonly status: number;
  readonly rawHeaders: readonly string[];
}

/** The error that user code reported for one invocation. */
export interface ReportedError extends FunctionErrorBody {
  /** The user's code returned it on purpose. */
  readonly handled: boolean;
  /** The process ends because of it: the instance takes nothing more. */
  readonly fatal: boolean;
}

export interface ResponseSink {
  onHead(head: ResponseHead): void;
  /** False asks for a pause. */
  onData(chunk: Buffer): boolean;
  onEnd(): void;
  onFailure(failure: ExchangeFailure): void;
  onLog(source: LogSource, text: string): void;
}

export type LogSource = 'stdout' | 'stderr';

export type ExchangeFailure =
  | { readonly kind: 'reported'; readonly error: ReportedError }
  /** The connection broke before the answer was complete; why is known once the sandbox's exit is. */
  | { readonly kind: 'broken'; readonly cause: unknown };

export interface Exchange {
  resume(): void;
  cancel(): void;
}
