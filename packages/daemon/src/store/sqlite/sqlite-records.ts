import assert from 'node:assert/strict';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { RecordChange, Records, RecordWrite, StoredRecord } from '../records.ts';
import { inTransaction, openControlDatabase, storeFailure } from './sqlite-database.ts';

interface Watcher {
  readonly prefix: string;
  readonly onChange: (change: RecordChange) => void;
  active: boolean;
}

interface Delivery {
  readonly watcher: Watcher;
  readonly change: RecordChange;
}

/** `Records` in one SQLite file. Reads and writes are synchronous: none of them is on the path of an invocation. */
export class SqliteRecords implements Records {
  readonly #database: DatabaseSync;
  readonly #selectOne: StatementSync;
  readonly #selectFrom: StatementSync;
  readonly #selectRange: StatementSync;
  readonly #nextRevision: StatementSync;
  readonly #upsert: StatementSync;
  readonly #remove: StatementSync;
  readonly #watchers = new Set<Watcher>();
  /** Committed but not yet told. Emptied on the next turn, so it holds the writes of one turn at most. */
  #deliveries: Delivery[] = [];
  #isDeliveryScheduled = false;

  /** Opens `<directory>/thaw.db`. Throws STORE_FAILED. */
  constructor(directory: string) {
    const database = openControlDatabase(directory);
    this.#database = database;
    this.#selectOne = database.prepare('SELECT key, value, revision FROM records WHERE key = ?');
    this.#selectFrom = database.prepare('SELECT key, value, revision FROM records WHERE key >= ?');
    this.#selectRange = database.prepare(
      'SELECT key, value, revision FROM records WHERE key >= ? AND key < ?',
    );
    this.#nextRevision = database.prepare('UPDATE revision SET last = last + 1 RETURNING last');
    this.#upsert = database.prepare(
      'INSERT INTO records (key, value, revision) VALUES (?, ?, ?)' +
        ' ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision',
    );
    this.#remove = database.prepare('DELETE FROM records WHERE key = ?');
  }

  get(key: string): StoredRecord | undefined {
    assertKey(key);
    return this.#guarded(`read the record ${key}`, () => {
      const row = this.#selectOne.get(key);
      return row === undefined ? undefined : recordOf(row);
    });
  }

  list(prefix: string): readonly StoredRecord[] {
    return this.#guarded(`list the records under ${prefix}`, () => {
      const end = prefixEnd(prefix);
      const rows = end === undefined ? this.#selectFrom.all(prefix) : this.#selectRange.all(prefix, end);
      // SQLite orders by UTF-8 bytes, which differs from code units beyond the basic plane.
      return rows.map(recordOf).toSorted((a, b) => (a.key < b.key ? -1 : 1));
    });
  }

  put(key: string, value: unknown, expectedRevision?: number): number {
    const write = { kind: 'put', key, value } as const;
    const changes = this.#commit([expectedRevision === undefined ? write : { ...write, expectedRevision }]);
    const change = changes[0];
    assert(change?.kind === 'put');
    return change.record.revision;
  }

  delete(key: string, expectedRevision?: number): void {
    const write = { kind: 'delete', key } as const;
    this.#commit([expectedRevision === undefined ? write : { ...write, expectedRevision }]);
  }

  batch(writes: readonly RecordWrite[]): void {
    if (writes.length > 0) this.#commit(writes);
  }

  watch(prefix: string, onChange: (change: RecordChange) => void): () => void {
    const watcher: Watcher = { prefix, onChange, active: true };
    this.#watchers.add(watcher);
    return () => {
      watcher.active = false;
      this.#watchers.delete(watcher);
    };
  }

  /** Ends every watch; closing twice does nothing. */
  close(): void {
    for (const watcher of this.#watchers) watcher.active = false;
    this.#watchers.clear();
    this.#deliveries = [];
    if (this.#database.isOpen) this.#database.close();
  }

  #commit(writes: readonly RecordWrite[]): readonly RecordChange[] {
    const changes = this.#guarded(`write ${writes.map((write) => write.key).join(', ')}`, () =>
      inTransaction(this.#database, () => writes.flatMap((write) => this.#apply(write))),
    );
    for (const change of changes) this.#announce(change);
    return changes;
  }

  #apply(write: RecordWrite): readonly RecordChange[] {
    assertKey(write.key);
    const row = this.#selectOne.get(write.key);
    const current = row === undefined ? 0 : Number(row['revision']);
    if (write.expectedRevision !== undefined && write.expectedRevision !== current) {
      throw new ThawError('CONFLICT', `the record ${write.key} was changed by another request`, {
        details: { key: write.key, expected: write.expectedRevision, found: current },
      });
    }
    if (write.kind === 'delete') {
      if (current === 0) return [];
      this.#nextRevision.get();
      this.#remove.run(write.key);
      return [{ kind: 'delete', key: write.key }];
    }
    const text = JSON.stringify(write.value);
    assert(typeof text === 'string', `the value of ${write.key} is not JSON`);
    const revision = Number(this.#nextRevision.get()?.['last']);
    this.#upsert.run(write.key, text, revision);
    // Parsed anew: a watcher sees what was stored, whatever the writer does to its object later.
    return [{ kind: 'put', record: { key: write.key, value: JSON.parse(text), revision } }];
  }

  #announce(change: RecordChange): void {
    const key = change.kind === 'put' ? change.record.key : change.key;
    for (const watcher of this.#watchers) {
      if (key.startsWith(watcher.prefix)) this.#deliveries.push({ watcher, change });
    }
    this.#scheduleDelivery();
  }

  #scheduleDelivery(): void {
    if (this.#isDeliveryScheduled || this.#deliveries.length === 0) return;
    this.#isDeliveryScheduled = true;
    setImmediate(() => this.#deliver());
  }

  #deliver(): void {
    this.#isDeliveryScheduled = false;
    const deliveries = this.#deliveries;
    this.#deliveries = [];
    let next = 0;
    try {
      for (const { watcher, change } of deliveries) {
        next += 1;
        if (watcher.active) watcher.onChange(change);
      }
    } finally {
      // Where a watcher threw, the others still hear of everything, in order.
      if (next < deliveries.length) this.#deliveries = [...deliveries.slice(next), ...this.#deliveries];
      this.#scheduleDelivery();
    }
  }

  #guarded<T>(doing: string, work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      throw storeFailure(doing, error);
    }
  }
}

/** Lone surrogates and NUL have no lasting form in SQLite's UTF-8 text; keys are ours, so one is a mistake. */
function assertKey(key: string): void {
  assert(key.length > 0 && key.isWellFormed() && !key.includes('\0'), `not a record key: ${key}`);
}

function recordOf(row: Record<string, unknown>): StoredRecord {
  return {
    key: String(row['key']),
    value: JSON.parse(String(row['value'])),
    revision: Number(row['revision']),
  };
}

/** The first key in code-point order behind all that start with `prefix`, or undefined when there is none. */
function prefixEnd(prefix: string): string | undefined {
  const points = Array.from(prefix, (character) => character.codePointAt(0) ?? 0);
  while (points.length > 0) {
    const last = points.pop() ?? 0;
    if (last < 0x10ffff) return String.fromCodePoint(...points, last === 0xd7ff ? 0xe000 : last + 1);
  }
  return undefined;
}
