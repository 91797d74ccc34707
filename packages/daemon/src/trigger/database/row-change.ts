import { LIMITS } from '@thaw/protocol/limits.ts';

/** One value of a row as it goes into the event. */
export type RowValue = unknown;
export type Row = Readonly<Record<string, RowValue>>;

export type Operation = 'insert' | 'update' | 'delete';

/** One row of one table became another: an entry of an event's `changes`. docs/DATABASE-TRIGGERS.md tells what users
 * may rely on. */
export interface RowChange {
  /** The same change has the same id however often it is delivered, and no other change has it. */
  readonly id: string;
  readonly schema: string;
  readonly table: string;
  readonly operation: Operation;
  /** Names the row: its primary key. Null where the table has none. */
  readonly key: Row | null;
  /** What the database tells of the row as it was: nothing, its key, or all of it. */
  readonly before: Row | null;
  /** The row as it is; null when it is gone. */
  readonly after: Row | null;
  /** Columns that are not in `after` because they did not change and the database did not send them again. */
  readonly unchanged?: readonly string[];
  /** ISO 8601, UTC. */
  readonly committedAt: string;
  readonly transactionId: string | null;
  /** Where it stands in the database's own log. */
  readonly position: string;
}

/** A change on its way to the function. `P` is the position that is reached once the function has taken it. */
export interface QueuedChange<P> {
  readonly id: string;
  /** The change as JSON. */
  readonly text: string;
  readonly bytes: number;
  /** Changes with the same order key are delivered one after another. */
  readonly orderKey: string;
  /** The row got another key with it, so that two keys must be in order here: nothing runs beside it. */
  readonly isKeyChange: boolean;
  readonly position: P;
}

/** Room for what is around the changes of an event. */
const EVENT_HEAD_BYTES = 64 * 1024;
const CHANGE_BYTES_MAX = LIMITS.syncPayloadBytesMax - EVENT_HEAD_BYTES;

/**
 * A row that is too large for any event is told without its values and marked `isTruncated`: the function knows the key
 * and can read the row itself, and what comes after it is not held up.
 */
export function queuedChange<P>(
  change: RowChange,
  order: { readonly isKeyChange: boolean; readonly position: P },
  bytesMax = CHANGE_BYTES_MAX,
): QueuedChange<P> {
  const whole = JSON.stringify(change);
  const isTooLarge = Buffer.byteLength(whole) > bytesMax;
  const text = isTooLarge
    ? JSON.stringify({ ...change, before: null, after: null, isTruncated: true })
    : whole;
  return {
    id: change.id,
    text,
    bytes: Buffer.byteLength(text),
    orderKey: JSON.stringify([change.schema, change.table, change.key]),
    ...order,
  };
}

export interface ChangeOrigin {
  readonly type: 'postgresql' | 'sqlite';
  /** The database's name, or the file's path. */
  readonly database: string;
}

/** The event that a function gets. */
export function changesEvent(
  origin: ChangeOrigin,
  triggerName: string,
  changes: readonly Pick<QueuedChange<unknown>, 'text'>[],
): Buffer {
  const head = JSON.stringify({ source: origin, triggerName });
  return Buffer.from(`${head.slice(0, -1)},"changes":[${changes.map(({ text }) => text).join(',')}]}`);
}

/** The task that takes a change which the function fails on: letters, digits, `-` and `_`, and a letter first. */
export function setAsideId(triggerId: string, changeId: string): string {
  return `change-${triggerId}-${changeId.replaceAll(/[^A-Za-z0-9_-]/gu, '_')}`;
}
