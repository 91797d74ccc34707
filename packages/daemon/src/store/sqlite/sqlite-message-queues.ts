import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../../base/clock.ts';
import {
  QUEUE_BYTES_MAX,
  QUEUE_MESSAGES_MAX,
  RECEIVE_BYTES_MAX,
  type MessageQueues,
  type NewMessage,
  type QueueAttributes,
  type QueueDescription,
  type Received,
  type ReceivedMessage,
  type ReceiveRequest,
  type VisibilityChange,
} from '../message-queues.ts';
import { Watchers } from '../watchers.ts';
import { GroupCommit } from './group-commit.ts';
import { guarded, openSqliteDatabase } from './sqlite-database.ts';

const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE queues (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    attributes TEXT NOT NULL,
    created_at INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    queue INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    body TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    attributes TEXT NOT NULL,
    sent_at INTEGER NOT NULL,
    -- When it came into this queue, which its retention is counted from.
    entered_at INTEGER NOT NULL,
    visible_at INTEGER NOT NULL,
    first_received_at INTEGER,
    receives INTEGER NOT NULL DEFAULT 0,
    -- Grows with every receipt and is never set back: a receipt names one receiving for ever.
    receipt INTEGER NOT NULL DEFAULT 0,
    source TEXT,
    -- 1 while it is with a receiver that ends with the store.
    is_held INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE INDEX messages_held ON messages (seq) WHERE is_held = 1;
  CREATE INDEX messages_by_visibility ON messages (queue, visible_at, seq);
  CREATE INDEX messages_by_age ON messages (queue, entered_at);
  `,
];

const EXPIRED_PER_CALL_MAX = 10_000;

interface QueueState {
  readonly id: number;
  readonly name: string;
  readonly createdAt: number;
  attributes: QueueAttributes;
  messages: number;
  bytes: number;
}

/** `MessageQueues` in a SQLite file of its own, which waits for the disk once for all calls of a turn. */
export class SqliteMessageQueues implements MessageQueues {
  readonly #database: DatabaseSync;
  readonly #clock: Clock;
  readonly #commit: GroupCommit;
  readonly #statements: ReturnType<typeof prepare>;
  readonly #queues = new Map<string, QueueState>();
  readonly #watchers = new Watchers();
  /** Told of every queue that a watcher of it would be told of. */
  readonly #onVisible: ((name: string) => void) | undefined;

  /** Opens a file such as `messages.db` in the directory. Throws STORE_FAILED. */
  constructor(directory: string, file: string, clock: Clock, onVisible?: (name: string) => void) {
    this.#onVisible = onVisible;
    this.#database = openSqliteDatabase(join(directory, file), MIGRATIONS, 'full');
    this.#clock = clock;
    this.#statements = prepare(this.#database);
    this.#commit = new GroupCommit(this.#database, () => this.#load());
    guarded('give back what was being worked on', () => this.#statements.releaseHeld.run(clock.now()));
    this.#load();
  }

  create(name: string, attributes: QueueAttributes): Promise<void> {
    return this.#commit.run(`create the queue ${name}`, () => {
      if (this.#queues.has(name)) throw new ThawError('QUEUE_EXISTS', `queue '${name}' already exists`);
      this.#requireDeadLetterQueue(name, attributes);
      const createdAt = this.#clock.now();
      const row = this.#statements.insertQueue.get(name, JSON.stringify(attributes), createdAt);
      this.#queues.set(name, { id: Number(row?.['id']), name, createdAt, attributes, messages: 0, bytes: 0 });
      this.#tell(name);
    });
  }

  update(name: string, attributes: QueueAttributes): Promise<void> {
    return this.#commit.run(`change the queue ${name}`, () => {
      const queue = this.#require(name);
      this.#requireDeadLetterQueue(name, attributes);
      this.#statements.updateQueue.run(JSON.stringify(attributes), queue.id);
      queue.attributes = attributes;
    });
  }

  delete(name: string): Promise<void> {
    return this.#commit.run(`delete the queue ${name}`, () => {
      const queue = this.#require(name);
      for (const other of this.#queues.values()) {
        if (other.attributes.deadLetterQueue !== name || other === queue) continue;
        throw new ThawError('IN_USE', `queue '${name}' is the dead-letter queue of '${other.name}'`);
      }
      this.#statements.removeMessages.run(queue.id);
      this.#statements.removeQueue.run(queue.id);
      this.#queues.delete(name);
      this.#tell(name);
    });
  }

  async get(name: string): Promise<QueueDescription | undefined> {
    const queue = this.#queues.get(name);
    return queue === undefined ? undefined : guarded('count messages', () => this.#describe(queue));
  }

  attributesOf(name: string): QueueAttributes | undefined {
    return this.#queues.get(name)?.attributes;
  }

  names(): readonly string[] {
    return [...this.#queues.keys()].toSorted();
  }

  async list(): Promise<readonly QueueDescription[]> {
    const sorted = [...this.#queues.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
    return guarded('count messages', () => sorted.map((queue) => this.#describe(queue)));
  }

  send(name: string, messages: readonly NewMessage[]): Promise<readonly string[]> {
    return this.#commit.run(`send to the queue ${name}`, () => {
      const queue = this.#require(name);
      const sizes = messages.map((message, index) => messageBytes(queue, message, index));
      const bytes = sizes.reduce((sum, size) => sum + size, 0);
      requireRoom(queue, messages.length, bytes);
      const nowMs = this.#clock.now();
      const ids = messages.map((message, index) => {
        const { body, attributes = {}, delayMs = queue.attributes.delayMs } = message;
        const messageId = randomUUID();
        this.#statements.insertMessage.run(
          queue.id,
          messageId,
          body,
          sizes[index] ?? 0,
          JSON.stringify(attributes),
          nowMs,
          nowMs,
          nowMs + delayMs,
        );
        return messageId;
      });
      queue.messages += messages.length;
      queue.bytes += bytes;
      this.#tell(name);
      return ids;
    });
  }

  receive(
    name: string,
    { limit, visibilityTimeoutMs, endsWithStore = false }: ReceiveRequest,
  ): Promise<Received> {
    return this.#commit.run(`receive from the queue ${name}`, () => {
      const queue = this.#require(name);
      const nowMs = this.#clock.now();
      const visibleAt = nowMs + (visibilityTimeoutMs ?? queue.attributes.visibilityTimeoutMs);
      const messages: ReceivedMessage[] = [];
      let bytes = 0;
      // What is dead or too old makes room for more, so it is looked again until there is enough or nothing.
      while (messages.length < limit && bytes < RECEIVE_BYTES_MAX) {
        const rows = this.#statements.selectVisible.all(queue.id, nowMs, limit - messages.length);
        if (rows.length === 0) break;
        for (const row of rows) {
          if (this.#removeExpired(queue, row, nowMs) || this.#bury(queue, row, nowMs)) continue;
          if (bytes >= RECEIVE_BYTES_MAX) break;
          const received =
            this.#statements.markReceived.get(visibleAt, nowMs, endsWithStore ? 1 : 0, Number(row['seq'])) ??
            {};
          messages.push(receivedMessage(received));
          bytes += Number(row['bytes']);
        }
      }
      const next = this.#statements.selectNext.get(queue.id)?.['visible_at'];
      return { messages, nextVisibleAt: typeof next === 'number' ? next : undefined };
    });
  }

  acknowledge(name: string, receipts: readonly string[]): Promise<readonly boolean[]> {
    return this.#commit.run(`acknowledge messages of the queue ${name}`, () => {
      const queue = this.#require(name);
      return receipts.map(parseReceipt).map(({ seq, receipt }) => {
        const row = this.#statements.selectOne.get(seq, queue.id);
        if (row === undefined) return true;
        if (Number(row['receipt']) !== receipt) return false;
        this.#remove(queue, row);
        return true;
      });
    });
  }

  changeVisibility(name: string, changes: readonly VisibilityChange[]): Promise<readonly boolean[]> {
    return this.#commit.run(`change the visibility of messages of the queue ${name}`, () => {
      const queue = this.#require(name);
      const nowMs = this.#clock.now();
      const receipts = changes.map((change) => parseReceipt(change.receipt));
      const changed = changes.map(({ visibilityTimeoutMs, isKept = false, isUncounted = false }, index) => {
        const { seq = 0, receipt = 0 } = receipts[index] ?? {};
        const row = this.#statements.selectOne.get(seq, queue.id);
        if (row === undefined || Number(row['receipt']) !== receipt) return false;
        const [kept, uncounted] = [isKept ? 1 : 0, isUncounted ? 1 : 0];
        this.#statements.setVisibility.run(nowMs + visibilityTimeoutMs, uncounted, kept, seq);
        return true;
      });
      this.#tell(name);
      return changed;
    });
  }

  purge(name: string): Promise<number> {
    return this.#commit.run(`purge the queue ${name}`, () => {
      const queue = this.#require(name);
      const removed = queue.messages;
      this.#statements.removeMessages.run(queue.id);
      queue.messages = 0;
      queue.bytes = 0;
      return removed;
    });
  }

  redrive(name: string, limit: number): Promise<number> {
    return this.#commit.run(`redrive the queue ${name}`, () => {
      const queue = this.#require(name);
      let moved = 0;
      for (const row of this.#statements.selectDead.all(queue.id, this.#clock.now(), limit)) {
        const source = this.#queues.get(String(row['source']));
        if (source === undefined) continue;
        this.#move(queue, source, row, null);
        moved += 1;
      }
      return moved;
    });
  }

  expire(): Promise<number> {
    return this.#commit.run('remove messages that are too old', () => {
      const nowMs = this.#clock.now();
      let removed = 0;
      for (const queue of this.#queues.values()) {
        const enteredBefore = nowMs - queue.attributes.retentionMs;
        const left = EXPIRED_PER_CALL_MAX - removed;
        for (const row of this.#statements.selectExpired.all(queue.id, enteredBefore, left)) {
          this.#remove(queue, row);
          removed += 1;
        }
      }
      return removed;
    });
  }

  watch(name: string, onVisible: () => void): () => void {
    return this.#watchers.add(name, onVisible);
  }

  async close(): Promise<void> {
    if (!this.#database.isOpen) return;
    this.#commit.close();
    this.#watchers.clear();
    this.#database.close();
  }

  /** Also after a commit that failed: then the file knows better than the memory. */
  #load(): void {
    guarded('read the queues', () => {
      this.#queues.clear();
      for (const row of this.#statements.selectQueues.all()) {
        const name = String(row['name']);
        this.#queues.set(name, {
          id: Number(row['id']),
          name,
          createdAt: Number(row['created_at']),
          attributes: storedAttributes(row['attributes']),
          messages: Number(row['messages']),
          bytes: Number(row['bytes']),
        });
      }
    });
  }

  #require(name: string): QueueState {
    const queue = this.#queues.get(name);
    if (queue !== undefined) return queue;
    throw new ThawError('QUEUE_NOT_FOUND', `queue '${name}' does not exist`, { details: { queue: name } });
  }

  #requireDeadLetterQueue(name: string, { deadLetterQueue }: QueueAttributes): void {
    if (deadLetterQueue === undefined) return;
    if (deadLetterQueue === name) {
      throw new ThawError('INVALID_ARGUMENT', `queue '${name}' cannot be its own dead-letter queue`);
    }
    this.#require(deadLetterQueue);
  }

  #describe({ id, name, attributes, createdAt, messages, bytes }: QueueState): QueueDescription {
    const nowMs = this.#clock.now();
    const visible = Number(this.#statements.countVisible.get(id, nowMs)?.['visible'] ?? 0);
    const inFlight = Number(this.#statements.countInFlight.get(id, nowMs)?.['in_flight'] ?? 0);
    const oldest = this.#statements.selectOldest.get(id)?.['entered_at'];
    return {
      name,
      attributes,
      createdAt,
      messages,
      visible,
      inFlight,
      delayed: messages - visible - inFlight,
      bytes,
      ...(typeof oldest === 'number' ? { oldestAt: oldest } : {}),
    };
  }

  #removeExpired(queue: QueueState, row: Row, nowMs: number): boolean {
    if (Number(row['entered_at']) + queue.attributes.retentionMs > nowMs) return false;
    this.#remove(queue, row);
    return true;
  }

  /** Whether it was received for the last time, and is with the dead ones now. */
  #bury(queue: QueueState, row: Row, nowMs: number): boolean {
    const { maxReceives, deadLetterQueue } = queue.attributes;
    if (maxReceives === undefined || deadLetterQueue === undefined) return false;
    const dead = this.#queues.get(deadLetterQueue);
    if (dead === undefined || Number(row['receives']) < maxReceives) return false;
    this.#move(queue, dead, row, queue.name, nowMs);
    return true;
  }

  #move(from: QueueState, to: QueueState, row: Row, source: string | null, nowMs = this.#clock.now()): void {
    const bytes = Number(row['bytes']);
    this.#statements.move.run(to.id, nowMs, nowMs, source, Number(row['seq']));
    from.messages -= 1;
    from.bytes -= bytes;
    to.messages += 1;
    to.bytes += bytes;
    this.#tell(to.name);
  }

  #remove(queue: QueueState, row: Row): void {
    this.#statements.removeMessage.run(Number(row['seq']));
    queue.messages -= 1;
    queue.bytes -= Number(row['bytes']);
  }

  /** On a later turn, when the commit is through. */
  #tell(name: string): void {
    if (!this.#watchers.has(name) && this.#onVisible === undefined) return;
    setImmediate(() => {
      this.#onVisible?.(name);
      this.#watchers.tell(name);
    });
  }
}

type Row = Readonly<Record<string, unknown>>;

function prepare(database: DatabaseSync): Readonly<Record<StatementName, StatementSync>> {
  return {
    selectQueues: database.prepare(
      'SELECT queues.id, name, queues.attributes, created_at, COUNT(seq) AS messages,' +
        ' COALESCE(SUM(bytes), 0) AS bytes FROM queues LEFT JOIN messages ON messages.queue = queues.id' +
        ' GROUP BY queues.id',
    ),
    insertQueue: database.prepare(
      'INSERT INTO queues (name, attributes, created_at) VALUES (?, ?, ?) RETURNING id',
    ),
    updateQueue: database.prepare('UPDATE queues SET attributes = ? WHERE id = ?'),
    removeQueue: database.prepare('DELETE FROM queues WHERE id = ?'),
    insertMessage: database.prepare(
      'INSERT INTO messages (queue, message_id, body, bytes, attributes, sent_at, entered_at, visible_at)' +
        ' VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
    ),
    selectVisible: database.prepare(
      // Without the bodies, of which only as many are read as are given.
      'SELECT seq, bytes, entered_at, receives FROM messages WHERE queue = ? AND visible_at <= ?' +
        ' ORDER BY visible_at, seq LIMIT ?',
    ),
    selectNext: database.prepare('SELECT MIN(visible_at) AS visible_at FROM messages WHERE queue = ?'),
    selectOne: database.prepare('SELECT seq, receipt, bytes FROM messages WHERE seq = ? AND queue = ?'),
    selectDead: database.prepare(
      'SELECT seq, bytes, source FROM messages WHERE queue = ? AND visible_at <= ?' +
        ' AND source IN (SELECT name FROM queues) ORDER BY entered_at, seq LIMIT ?',
    ),
    selectExpired: database.prepare(
      'SELECT seq, bytes FROM messages WHERE queue = ? AND entered_at <= ? LIMIT ?',
    ),
    markReceived: database.prepare(
      'UPDATE messages SET visible_at = ?, first_received_at = COALESCE(first_received_at, ?),' +
        ' receives = receives + 1, receipt = receipt + 1, is_held = ? WHERE seq = ? RETURNING *',
    ),
    setVisibility: database.prepare(
      'UPDATE messages SET visible_at = ?, receives = MAX(0, receives - ?), is_held = is_held * ? WHERE seq = ?',
    ),
    move: database.prepare(
      'UPDATE messages SET queue = ?, entered_at = ?, visible_at = ?, source = ?, receives = 0,' +
        ' receipt = receipt + 1, is_held = 0 WHERE seq = ?',
    ),
    releaseHeld: database.prepare(
      'UPDATE messages SET visible_at = MIN(visible_at, ?), is_held = 0 WHERE is_held = 1',
    ),
    removeMessage: database.prepare('DELETE FROM messages WHERE seq = ?'),
    removeMessages: database.prepare('DELETE FROM messages WHERE queue = ?'),
    // Each of these reads an index, however many messages there are.
    countVisible: database.prepare(
      'SELECT COUNT(*) AS visible FROM messages WHERE queue = ? AND visible_at <= ?',
    ),
    countInFlight: database.prepare(
      'SELECT COUNT(*) AS in_flight FROM messages WHERE queue = ? AND visible_at > ? AND receives > 0',
    ),
    selectOldest: database.prepare('SELECT MIN(entered_at) AS entered_at FROM messages WHERE queue = ?'),
  };
}

type StatementName =
  | 'selectQueues'
  | 'insertQueue'
  | 'updateQueue'
  | 'removeQueue'
  | 'insertMessage'
  | 'selectVisible'
  | 'selectNext'
  | 'selectOne'
  | 'selectDead'
  | 'selectExpired'
  | 'markReceived'
  | 'setVisibility'
  | 'move'
  | 'releaseHeld'
  | 'removeMessage'
  | 'removeMessages'
  | 'countVisible'
  | 'countInFlight'
  | 'selectOldest';

function receivedMessage(row: Row): ReceivedMessage {
  const { source } = row;
  return {
    messageId: String(row['message_id']),
    receipt: `${Number(row['seq'])}-${Number(row['receipt'])}`,
    body: String(row['body']),
    attributes: storedTexts(row['attributes']),
    sentAt: Number(row['sent_at']),
    firstReceivedAt: Number(row['first_received_at']),
    receiveCount: Number(row['receives']),
    ...(typeof source === 'string' ? { deadLetterSource: source } : {}),
  };
}

/** Before anything is written: of receipts one of which is none, none is acted on. Throws INVALID_ARGUMENT. */
function parseReceipt(text: string): { readonly seq: number; readonly receipt: number } {
  const [, seq, receipt] = /^(\d{1,15})-(\d{1,15})$/.exec(text) ?? [];
  if (seq === undefined || receipt === undefined) {
    throw new ThawError('INVALID_ARGUMENT', `'${text.slice(0, 64)}' is no receipt of a message`);
  }
  return { seq: Number(seq), receipt: Number(receipt) };
}

/** Throws PAYLOAD_TOO_LARGE. */
function messageBytes(queue: QueueState, { body, attributes = {} }: NewMessage, index: number): number {
  let bytes = Buffer.byteLength(body);
  for (const [name, value] of Object.entries(attributes)) {
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value);
  }
  const bytesMax = queue.attributes.messageBytesMax;
  if (bytes <= bytesMax) return bytes;
  throw new ThawError(
    'PAYLOAD_TOO_LARGE',
    `message ${index + 1} has ${bytes} bytes; queue '${queue.name}' takes at most ${bytesMax}`,
    { details: { bytesMax } },
  );
}

/** Throws QUEUE_FULL. */
function requireRoom(queue: QueueState, messages: number, bytes: number): void {
  if (queue.messages + messages <= QUEUE_MESSAGES_MAX && queue.bytes + bytes <= QUEUE_BYTES_MAX) return;
  throw new ThawError(
    'QUEUE_FULL',
    `queue '${queue.name}' holds ${queue.messages} messages of ${queue.bytes} bytes; at most ${QUEUE_MESSAGES_MAX} and ${QUEUE_BYTES_MAX} may wait`,
    { retryAfterS: 10, details: { queue: queue.name } },
  );
}

/** This file alone writes what it reads. */
function storedAttributes(text: unknown): QueueAttributes {
  const value: QueueAttributes = JSON.parse(String(text));
  return value;
}

function storedTexts(text: unknown): Record<string, string> {
  const value: Record<string, string> = JSON.parse(String(text));
  return value;
}
