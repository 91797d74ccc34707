/**
 * Named queues of messages between programs: durable, delayed, received under a time limit, dead-lettered.
 *
 * Contract (each number is named by the contract suite):
 *  1. What a call that resolved has written is on disk: it survives `kill -9`. All messages of one `send` are or none.
 *  2. `receive` gives visible messages, the longest visible first, each to one receiver until its visibility ends;
 *     then it is visible again. Every receipt counts, also across restarts.
 *  3. `acknowledge` and `changeVisibility` under a receipt that is not the message's newest change nothing and say so.
 *     Acknowledging what is gone already is no failure.
 *  4. A message is not received before its delay has passed.
 *  5. A message that was received `maxReceives` times and becomes visible again goes to the dead-letter queue, if the
 *     queue has one, and is not received any more; `redrive` brings it back to where it came from with its count anew.
 *  6. What is older than the retention is not received, and `expire` removes it. In a dead-letter queue its age begins
 *     with its arrival there.
 *  7. QUEUE_FULL, PAYLOAD_TOO_LARGE, QUEUE_NOT_FOUND, QUEUE_EXISTS and IN_USE change nothing, and harm no other call of
 *     the same moment.
 *  8. `purge` removes every message, `delete` the queue with them; a queue of the same name is another one.
 *  9. What was received with `endsWithStore` and is still with its receiver is visible when the store is opened again.
 * 10. A watcher is told of a queue in which something may have become visible by a call, or that was made by one;
 *     `nextVisibleAt` says when time alone will make something visible.
 */
export interface MessageQueues {
  create(name: string, attributes: QueueAttributes): Promise<void>;
  /** Replaces the attributes; those of messages that are there stay as they were. */
  update(name: string, attributes: QueueAttributes): Promise<void>;
  delete(name: string): Promise<void>;
  get(name: string): Promise<QueueDescription | undefined>;
  /** From memory, where `get` counts. */
  attributesOf(name: string): QueueAttributes | undefined;
  /** From memory, sorted. */
  names(): readonly string[];
  /** Sorted by name. */
  list(): Promise<readonly QueueDescription[]>;
  /** Gives the messages' ids in their order. */
  send(name: string, messages: readonly NewMessage[]): Promise<readonly string[]>;
  receive(name: string, request: ReceiveRequest): Promise<Received>;
  /** For each receipt whether it was the newest of its message, or the message is gone. */
  acknowledge(name: string, receipts: readonly string[]): Promise<readonly boolean[]>;
  changeVisibility(name: string, changes: readonly VisibilityChange[]): Promise<readonly boolean[]>;
  /** How many it removed. */
  purge(name: string): Promise<number>;
  /** Sends at most `limit` messages of a dead-letter queue back, the oldest first; says how many. */
  redrive(name: string, limit: number): Promise<number>;
  /** How many it removed. */
  expire(): Promise<number>;
  watch(name: string, onVisible: () => void): () => void;
  /** Ends what was asked for. */
  close(): Promise<void>;
}

export interface QueueAttributes {
  /** How long a received message is nobody else's. */
  readonly visibilityTimeoutMs: number;
  /** Of messages that bring no delay of their own. */
  readonly delayMs: number;
  readonly retentionMs: number;
  readonly messageBytesMax: number;
  /** Both or none. */
  readonly maxReceives?: number | undefined;
  readonly deadLetterQueue?: string | undefined;
}

export interface QueueDescription {
  readonly name: string;
  readonly attributes: QueueAttributes;
  readonly createdAt: number;
  /** All that are there; those that can be received now; with a receiver; and delayed. */
  readonly messages: number;
  readonly visible: number;
  readonly inFlight: number;
  readonly delayed: number;
  readonly bytes: number;
  /** When the message came that has been there for longest. */
  readonly oldestAt?: number;
}

export interface NewMessage {
  readonly body: string;
  readonly attributes?: Readonly<Record<string, string>>;
  readonly delayMs?: number | undefined;
}

export interface ReceiveRequest {
  readonly limit: number;
  /** The queue's own where absent. */
  readonly visibilityTimeoutMs?: number | undefined;
  /** The receiver is a part of the platform, and ends with it. */
  readonly endsWithStore?: boolean;
}

export interface Received {
  readonly messages: readonly ReceivedMessage[];
  /** Milliseconds since 1970; undefined where nothing waits. */
  readonly nextVisibleAt: number | undefined;
}

export interface ReceivedMessage {
  readonly messageId: string;
  readonly receipt: string;
  readonly body: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly sentAt: number;
  readonly firstReceivedAt: number;
  readonly receiveCount: number;
  /** Where it came from, in a dead-letter queue. */
  readonly deadLetterSource?: string;
}

export interface VisibilityChange {
  readonly receipt: string;
  /** From now; 0 makes it visible at once. */
  readonly visibilityTimeoutMs: number;
  /** Who received it with `endsWithStore` goes on with it; otherwise it is nobody's when the time is over. */
  readonly isKept?: boolean;
  /** The receipt does not count: nothing came of it that was the message's fault. */
  readonly isUncounted?: boolean;
}

/** Of one queue; a dead-letter queue takes what comes from others beyond it, or it would be lost. */
export const QUEUE_MESSAGES_MAX = 1_000_000;
export const QUEUE_BYTES_MAX = 1024 * 1024 * 1024;
/** `receive` gives no further message when those it has are so large together. */
export const RECEIVE_BYTES_MAX = 6 * 1024 * 1024;
