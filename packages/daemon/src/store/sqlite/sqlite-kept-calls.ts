import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { DatabaseSync, SQLInputValue } from 'node:sqlite';
import { triggerKindOf } from '../../model/trigger-kind.ts';
import {
  ANSWER_LIMITS,
  INPUT_LIMITS,
  type KeptAnswer,
  type KeptInput,
  type KeptLimits,
} from '../kept-calls.ts';
import { guarded, inTransaction, openSqliteDatabase } from './sqlite-database.ts';

export const CALLS_FILE = 'calls.db';

const MIGRATIONS = [
  `
  CREATE TABLE inputs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    function_name TEXT NOT NULL,
    kept_at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    qualifier TEXT NOT NULL,
    source TEXT NOT NULL,
    http TEXT,
    task_id TEXT,
    bytes BLOB
  ) STRICT;
  CREATE INDEX inputs_by_function ON inputs (function_name, seq);

  CREATE TABLE answers (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    function_name TEXT NOT NULL,
    kept_at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    status INTEGER NOT NULL,
    headers TEXT NOT NULL,
    bytes BLOB
  ) STRICT;
  CREATE INDEX answers_by_function ON answers (function_name, seq);
  `,
];

/** What a row takes besides its bytes and texts. */
const ROW_BYTES = 256;
/** Rows that one commit removes at most beyond what it brought: a lowered bound is reached in steps. */
const TRIM_EXTRA = 64;

type Table = 'inputs' | 'answers';
type Kept =
  | { readonly kind: 'input'; readonly input: KeptInput }
  | { readonly kind: 'answer'; readonly answer: KeptAnswer };

export type KeptWrite = Kept | { readonly kind: 'forget'; readonly functionName: string };

export interface SqliteKeptCallsLimits {
  readonly inputs: KeptLimits;
  readonly answers: KeptLimits;
}

interface Taken {
  count: number;
  bytes: number;
}

/** Kept calls in `<directory>/calls.db`. One thread writes, any may read. */
export class SqliteKeptCalls {
  readonly #database: DatabaseSync;
  readonly #limits: SqliteKeptCallsLimits;
  readonly #now: () => number;
  /** By table and function; counted when the first write comes. */
  #taken: Map<Table, Map<string, Taken>> | undefined;

  /** Throws STORE_FAILED. */
  constructor(
    directory: string,
    now: () => number,
    limits: SqliteKeptCallsLimits = { inputs: INPUT_LIMITS, answers: ANSWER_LIMITS },
  ) {
    this.#database = openSqliteDatabase(join(directory, CALLS_FILE), MIGRATIONS, 'full');
    this.#now = now;
    this.#limits = limits;
  }

  /** All or nothing, on disk when it returns. Throws STORE_FAILED. */
  write(writes: readonly KeptWrite[]): void {
    guarded('keep calls', () => {
      try {
        inTransaction(this.#database, () => {
          this.#taken ??= new Map(TABLES.map((each) => [each, this.#countRows(each)]));
          for (const write of writes) this.#apply(write);
          for (const table of TABLES) this.#trim(table, writes.length + TRIM_EXTRA);
        });
      } catch (error) {
        // What was counted is not what is stored.
        this.#taken = undefined;
        throw error;
      }
    });
  }

  input(requestId: string): KeptInput | undefined {
    const row = this.#find('inputs', requestId);
    if (row === undefined) return undefined;
    const { http, task_id: taskId, bytes } = row;
    return {
      requestId,
      functionName: String(row['function_name']),
      qualifier: String(row['qualifier']),
      trigger: triggerKindOf(row['source']),
      keptAt: Number(row['kept_at']),
      ...(typeof http === 'string' ? { http } : {}),
      ...(typeof taskId === 'string' ? { taskId } : {}),
      ...(bytes instanceof Uint8Array ? { bytes } : {}),
    };
  }

  answer(scope: string): KeptAnswer | undefined {
    const row = this.#find('answers', scope);
    if (row === undefined) return undefined;
    const { bytes } = row;
    return {
      scope,
      functionName: String(row['function_name']),
      fingerprint: String(row['fingerprint']),
      keptAt: Number(row['kept_at']),
      status: Number(row['status']),
      rawHeaders: JSON.parse(String(row['headers'])),
      ...(bytes instanceof Uint8Array ? { body: bytes } : {}),
    };
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close();
  }

  #find(table: Table, id: string): Record<string, unknown> | undefined {
    return guarded('read kept calls', () =>
      this.#database
        .prepare(`SELECT * FROM ${table} WHERE id = ? AND kept_at > ?`)
        .get(id, Math.floor(this.#now()) - this.#limits[table].ageMsMax),
    );
  }

  #apply(write: KeptWrite): void {
    if (write.kind === 'forget') {
      for (const table of TABLES) {
        this.#database.prepare(`DELETE FROM ${table} WHERE function_name = ?`).run(write.functionName);
        this.#takenOf(table).delete(write.functionName);
      }
    } else if (write.kind === 'input') {
      const { requestId, functionName, keptAt, qualifier, trigger, http, taskId, bytes } = write.input;
      const size = ROW_BYTES + (http?.length ?? 0) + (bytes?.length ?? 0);
      this.#insert('inputs', functionName, size, {
        id: requestId,
        function_name: functionName,
        kept_at: Math.floor(keptAt),
        size,
        qualifier,
        source: trigger,
        http: http ?? null,
        task_id: taskId ?? null,
        bytes: bytes ?? null,
      });
    } else {
      const { scope, functionName, keptAt, fingerprint, status, rawHeaders, body } = write.answer;
      const headers = JSON.stringify(rawHeaders);
      const size = ROW_BYTES + headers.length + (body?.length ?? 0);
      this.#insert('answers', functionName, size, {
        id: scope,
        function_name: functionName,
        kept_at: Math.floor(keptAt),
        size,
        fingerprint,
        status,
        headers,
        bytes: body ?? null,
      });
    }
  }

  #insert(
    table: Table,
    functionName: string,
    size: number,
    row: Readonly<Record<string, SQLInputValue>> & { id: string },
  ): void {
    this.#delete(table, 'id = ?', [row.id], 1);
    const names = Object.keys(row);
    this.#database
      .prepare(`INSERT INTO ${table} (${names.join(', ')}) VALUES (${names.map(() => '?').join(', ')})`)
      .run(...Object.values(row));
    this.#count(table, functionName, 1, size);
  }

  /** What is too old, then what is too much: of each function, then of all. */
  #trim(table: Table, rowsMax: number): void {
    const limits = this.#limits[table];
    let left = rowsMax;
    left -= this.#delete(table, 'kept_at <= ?', [Math.floor(this.#now()) - limits.ageMsMax], left);
    let total = 0;
    for (const [functionName, taken] of this.#takenOf(table)) {
      while (left > 0 && (taken.count > limits.perFunctionMax || taken.bytes > limits.perFunctionBytesMax)) {
        left -= this.#delete(table, 'function_name = ?', [functionName], 1);
      }
      total += taken.bytes;
    }
    while (left > 0 && total > limits.totalBytesMax) {
      const before = total;
      left -= this.#delete(table, 'TRUE', [], 1, (size) => (total -= size));
      if (total === before) break;
    }
  }

  /** The oldest first; how many. */
  #delete(
    table: Table,
    where: string,
    values: readonly SQLInputValue[],
    rowsMax: number,
    onDeleted: (size: number) => void = () => undefined,
  ): number {
    const rows = this.#database
      .prepare(
        `DELETE FROM ${table} WHERE seq IN (SELECT seq FROM ${table} WHERE ${where} ORDER BY seq LIMIT ?) RETURNING function_name, size`,
      )
      .all(...values, rowsMax);
    for (const row of rows) {
      const size = Number(row['size']);
      this.#count(table, String(row['function_name']), -1, -size);
      onDeleted(size);
    }
    return rows.length;
  }

  #count(table: Table, functionName: string, count: number, bytes: number): void {
    const all = this.#takenOf(table);
    const taken = all.get(functionName) ?? { count: 0, bytes: 0 };
    taken.count += count;
    taken.bytes += bytes;
    if (taken.count > 0) all.set(functionName, taken);
    else all.delete(functionName);
  }

  #takenOf(table: Table): Map<string, Taken> {
    const taken = this.#taken?.get(table);
    assert(taken !== undefined, 'rows are counted before the first is changed');
    return taken;
  }

  #countRows(table: Table): Map<string, Taken> {
    const rows = this.#database
      .prepare(
        `SELECT function_name, count(*) AS count, sum(size) AS bytes FROM ${table} GROUP BY function_name`,
      )
      .all();
    return new Map(
      rows.map((row) => [
        String(row['function_name']),
        { count: Number(row['count']), bytes: Number(row['bytes']) },
      ]),
    );
  }
}

const TABLES: readonly Table[] = ['inputs', 'answers'];
