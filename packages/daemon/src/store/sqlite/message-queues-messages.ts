import type { QueueAttributes } from '../message-queues.ts';
import type { SqliteMessageQueues } from './sqlite-message-queues.ts';
import type { ToldError } from './told-error.ts';

/** What `ThreadedMessageQueues` and the thread that owns its file say to each other. */

export interface MessageQueuesThreadData {
  readonly directory: string;
  readonly file: string;
  readonly nowMs: number;
}

/** Those of its methods that go to the file. */
export type MessageQueuesMethod = Exclude<
  keyof SqliteMessageQueues,
  'attributesOf' | 'names' | 'watch' | 'close'
>;

export interface MessageQueuesCall<M extends MessageQueuesMethod = MessageQueuesMethod> {
  readonly id: number;
  readonly method: M;
  readonly args: Parameters<SqliteMessageQueues[M]>;
}

/** Calls of one turn, with the time at which they were made; or the end. */
export type ToMessageQueuesThread =
  | { readonly nowMs: number; readonly calls: readonly MessageQueuesCall[] }
  | { readonly close: true };

export type MessageQueuesReply =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: ToldError };

export type FromMessageQueuesThread =
  | { readonly kind: 'opened'; readonly queues: readonly (readonly [name: string, QueueAttributes])[] }
  | { readonly kind: 'refused'; readonly error: ToldError }
  | { readonly kind: 'replies'; readonly replies: readonly MessageQueuesReply[] }
  | { readonly kind: 'visible'; readonly names: readonly string[] };
