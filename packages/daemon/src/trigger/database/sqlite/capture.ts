import type { DatabaseSync } from 'node:sqlite';
import type { Operation } from '../row-change.ts';
import { identifier, parseTableName } from '../table-name.ts';
import { rowImageSql } from './row-image.ts';

/** What is put into a user's file so that it tells of its changes: two tables and triggers, all under one name. */
export interface Capture {
  readonly name: string;
  readonly tables: readonly string[];
  readonly operations: readonly Operation[];
}

export interface Installed {
  /** Names this installation; another file, or a file that was put back from a copy without it, has another. */
  readonly epoch: string;
  /** Position of the newest change that was ever written. */
  readonly newest: number;
  /** Why tables are not followed. */
  readonly wrong: readonly string[];
}

export const changesTable = (name: string): string => identifier(`${name}_changes`);
const epochTable = (name: string): string => identifier(`${name}_epoch`);

/** Puts into the file what is missing or out of date there. Writes nothing where all is as it should be. */
export function installCapture(database: DatabaseSync, capture: Capture, newEpoch: string): Installed {
  const wrong: string[] = [];
  const wanted = new Map<string, string>();
  const names = tableNames(database);
  const followed = new Set<Table>();
  for (const [index, text] of capture.tables.entries()) {
    const table = findTable(names, text);
    if (typeof table === 'string') {
      wrong.push(table);
      continue;
    }
    // Named twice, it is told once.
    if (followed.has(table)) continue;
    followed.add(table);
    for (const [name, sql] of captureTriggers(database, table, capture, index)) wanted.set(name, sql);
  }
  const existing = existingTriggers(database, capture.name);
  const isSame =
    existing.size === wanted.size && [...wanted].every(([name, sql]) => existing.get(name) === sql);
  const known = epochOf(database, capture.name);
  if (!isSame || known === undefined) {
    write(database, () => {
      database.exec(
        `CREATE TABLE IF NOT EXISTS ${changesTable(capture.name)} (position INTEGER PRIMARY KEY AUTOINCREMENT,
           tableName TEXT NOT NULL, operation TEXT NOT NULL, key TEXT, oldKey TEXT, before TEXT, after TEXT,
           at TEXT NOT NULL)`,
      );
      database.exec(`CREATE TABLE IF NOT EXISTS ${epochTable(capture.name)} (epoch TEXT NOT NULL)`);
      if (known === undefined) {
        database.prepare(`INSERT INTO ${epochTable(capture.name)} VALUES (?)`).run(newEpoch);
      }
      for (const name of existing.keys()) database.exec(`DROP TRIGGER ${identifier(name)}`);
      for (const sql of wanted.values()) database.exec(sql);
    });
  }
  return { epoch: known ?? newEpoch, newest: newestPosition(database, capture.name), wrong };
}

/** Leaves the file as it was before. */
export function uninstallCapture(database: DatabaseSync, name: string): void {
  write(database, () => {
    for (const trigger of existingTriggers(database, name).keys()) {
      database.exec(`DROP TRIGGER ${identifier(trigger)}`);
    }
    database.exec(`DROP TABLE IF EXISTS ${changesTable(name)}`);
    database.exec(`DROP TABLE IF EXISTS ${epochTable(name)}`);
  });
}

interface Table {
  readonly name: string;
  readonly type: string;
  /** 1 for a table WITHOUT ROWID. */
  readonly wr: number;
}

function tableNames(database: DatabaseSync): ReadonlyMap<string, Table> {
  const rows = rowsOf<Table>(database, "SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main'");
  return new Map(rows.map((table) => [table.name.toLowerCase(), table]));
}

/** The table, or why there is none to follow. SQLite's names do not tell capital from small letters. */
function findTable(names: ReadonlyMap<string, Table>, text: string): Table | string {
  const parsed = parseTableName(text, 'main');
  if (parsed === undefined || parsed.schema.toLowerCase() !== 'main')
    return `'${text}' is no name of a table`;
  const table = names.get(parsed.table.toLowerCase());
  if (table === undefined) return `there is no table ${parsed.table}`;
  return table.type === 'table'
    ? table
    : `${parsed.table} is a ${table.type}, and only tables can be followed`;
}

interface Column {
  readonly name: string;
  /** Place in the primary key from 1, else 0. */
  readonly pk: number;
}

function captureTriggers(
  database: DatabaseSync,
  table: Table,
  { name, operations }: Capture,
  index: number,
): [string, string][] {
  const columns = rowsOf<Column>(
    database,
    // Hidden ones of the first kind belong to virtual tables; computed columns are the others.
    'SELECT name, pk FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid',
    table.name,
  );
  const all = columns.map((column) => column.name);
  const key = columns
    .filter(({ pk }) => pk > 0)
    .toSorted((a, b) => a.pk - b.pk)
    .map((column) => column.name);
  const keyColumns = key.length > 0 ? key : rowidName(all, table.wr === 1);
  const image = (row: 'NEW' | 'OLD', names: readonly string[]): string =>
    names.length === 0 ? 'NULL' : rowImageSql(row, names);
  return operations.map((operation) => {
    const trigger = `${name}_${index}_${operation}`;
    const values = [
      `'${table.name.replaceAll("'", "''")}'`,
      `'${operation}'`,
      image(operation === 'delete' ? 'OLD' : 'NEW', keyColumns),
      operation === 'update' ? image('OLD', keyColumns) : 'NULL',
      operation === 'insert' ? 'NULL' : image('OLD', all),
      operation === 'delete' ? 'NULL' : image('NEW', all),
      "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
    ];
    const sql =
      `CREATE TRIGGER ${identifier(trigger)} AFTER ${operation.toUpperCase()} ON ${identifier(table.name)} ` +
      `FOR EACH ROW BEGIN INSERT INTO ${changesTable(name)} ` +
      `(tableName, operation, key, oldKey, before, after, at) VALUES (${values.join(', ')}); END`;
    return [trigger, sql];
  });
}

/** The name under which a row's own number can be had: a column may have taken it. */
function rowidName(columns: readonly string[], isWithoutRowid: boolean): readonly string[] {
  if (isWithoutRowid) return [];
  const taken = new Set(columns.map((column) => column.toLowerCase()));
  const free = ['rowid', '_rowid_', 'oid'].find((each) => !taken.has(each));
  return free === undefined ? [] : [free];
}

function existingTriggers(database: DatabaseSync, name: string): ReadonlyMap<string, string> {
  const rows = rowsOf<{ name: string; sql: string }>(
    database,
    "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND substr(name, 1, ?) = ?",
    name.length + 1,
    `${name}_`,
  );
  return new Map(rows.map((row) => [row.name, row.sql]));
}

function epochOf(database: DatabaseSync, name: string): string | undefined {
  const tables = rowsOf<{ name: string }>(
    database,
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name IN (?, ?)",
    `${name}_epoch`,
    `${name}_changes`,
  );
  if (tables.length < 2) return undefined;
  return rowsOf<{ epoch: string }>(database, `SELECT epoch FROM ${epochTable(name)}`)[0]?.epoch;
}

function newestPosition(database: DatabaseSync, name: string): number {
  const rows = rowsOf<{ seq: number }>(
    database,
    'SELECT seq FROM sqlite_sequence WHERE name = ?',
    `${name}_changes`,
  );
  return rows[0]?.seq ?? 0;
}

function write(database: DatabaseSync, work: () => void): void {
  database.exec('BEGIN IMMEDIATE');
  try {
    work();
    database.exec('COMMIT');
  } catch (error) {
    database.exec('ROLLBACK');
    throw error;
  }
}

function rowsOf<T>(database: DatabaseSync, sql: string, ...values: readonly (string | number)[]): T[] {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the statement names the columns that T has
  return database.prepare(sql).all(...values) as T[];
}
