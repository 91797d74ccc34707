import type { QueueDatabase, QueueDatabaseOptions } from './queue-database.ts';
import type { ToldError } from './told-error.ts';

/** What `SqliteQueue` and the thread that owns its database say to each other. */

export interface QueueThreadData {
  readonly directory: string;
  readonly nowMs: number;
  readonly options: QueueDatabaseOptions;
}

export type QueueMethod = Exclude<keyof QueueDatabase, 'commit' | 'close'>;

export interface QueueCall<M extends QueueMethod = QueueMethod> {
  readonly method: M;
  readonly args: Parameters<QueueDatabase[M]>;
}

/** Calls of one commit, or the end. */
export type ToQueueThread = { readonly calls: readonly QueueCall[] } | { readonly close: true };

export type QueueReply = { readonly value: unknown } | { readonly error: ToldError };

/** One reply for each call, in their order. */
export type FromQueueThread =
  | { readonly kind: 'opened' }
  | { readonly kind: 'refused'; readonly error: ToldError }
  | { readonly kind: 'replies'; readonly replies: readonly QueueReply[] };
