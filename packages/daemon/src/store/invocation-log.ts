import type { Timeline } from '@thaw/protocol/timeline.ts';
import type { InvocationKind, TriggerKind } from '../model/trigger-kind.ts';

/** What is kept of one finished invocation for later reading. Unknown optional facts are absent. */
export interface InvocationRecord {
  readonly requestId: string;
  readonly functionName: string;
  readonly versionId: string;
  readonly qualifier: string;
  readonly instanceId: string;
  readonly kind: InvocationKind;
  readonly trigger: TriggerKind;
  /** Wall time in milliseconds. */
  readonly startedAt: number;
  readonly status: 'succeeded' | 'failed';
  readonly errorCode?: string;
  readonly errorType?: string;
  readonly coldStart: boolean;
  readonly timeline: Timeline;
  readonly billedMs: number;
  readonly memoryMb: number;
  readonly memoryPeakMb?: number;
  readonly statusCode?: number;
  /** Request id of the invocation that this one ran again. */
  readonly replayOf?: string;
}

export interface InvocationQuery {
  readonly functionName?: string;
  /** The `next` of the page before. */
  readonly before?: string;
  readonly limit: number;
}

export interface InvocationPage {
  readonly records: readonly InvocationRecord[];
  /** Where the next page starts; absent when this is the last one. */
  readonly next?: string;
}

/**
 * The history of invocations. Contract:
 *  1. `append` takes what its caller has gathered; `get` finds it when the call returns, `list` a moment later at the
 *     latest. What is written survives the death of the process; a power failure may take the newest. A request id
 *     that comes again replaces its record.
 *  2. `list` is newest first by start, and paging with `next` shows no record twice and leaves none out that was there
 *     when the first page was read, whatever is appended meanwhile.
 *  3. At most `recordsMax` records are kept; the first appended go first.
 */
export interface InvocationLog {
  append(records: readonly InvocationRecord[]): void;
  /** Adds phases to the timeline of a record; one that is not there stays so. */
  amend(requestId: string, timeline: Timeline): void;
  get(requestId: string): InvocationRecord | undefined;
  /** Throws INVALID_ARGUMENT for a `before` that no page gave out. */
  list(query: InvocationQuery): InvocationPage;
  close(): void | Promise<void>;
}
