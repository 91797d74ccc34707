import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { fsyncDirectorySync } from '../fsync-directory.ts';
import {
  CONTROL_MIGRATIONS,
  INVOCATION_MIGRATIONS,
  QUEUE_MIGRATIONS,
  USAGE_MIGRATIONS,
} from './migrations.ts';

/** How long a statement waits for another process (a backup, a person with `sqlite3`) before it fails. */
const BUSY_TIMEOUT_MS = 5_000;
const BUSY_PAUSE_MS = 2;
const SQLITE_BUSY = 5;

/**
 * `full`: a commit that returned survives a power failure. `normal`: it survives the death of the process, and a power
 * failure takes the newest commits but never the order or the file; commits do not wait for the disk.
 */
export type Durability = 'full' | 'normal';

/** `<dir>/thaw.db`: everything that is acknowledged to callers. */
export function openControlDatabase(directory: string): DatabaseSync {
  return openSqliteDatabase(join(directory, 'thaw.db'), CONTROL_MIGRATIONS, 'full');
}

/**
 * `<dir>/invocations.db`: a file of its own, so that a control write neither waits for the invocation log's lock nor
 * has to carry its pages to the disk.
 */
export function openInvocationDatabase(directory: string): DatabaseSync {
  return openSqliteDatabase(join(directory, 'invocations.db'), INVOCATION_MIGRATIONS, 'normal');
}

/** `<dir>/usage.db`: kept for longer than the history of single invocations, which it must not grow with. */
export function openUsageDatabase(directory: string): DatabaseSync {
  return openSqliteDatabase(join(directory, 'usage.db'), USAGE_MIGRATIONS, 'normal');
}

/** `<dir>/queue.db`: asynchronous invocations, a file of their own since nothing else writes so much. */
export function openQueueDatabase(directory: string): DatabaseSync {
  return openSqliteDatabase(join(directory, 'queue.db'), QUEUE_MIGRATIONS, 'full');
}

/** Opens or makes the database and brings it to the newest version. Throws STORE_FAILED. */
export function openSqliteDatabase(
  file: string,
  migrations: readonly string[],
  durability: Durability,
): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    mkdirSync(dirname(file), { recursive: true });
    // Made by us first: the write-ahead log inherits the mode, and records hold secrets of functions.
    closeSync(openSync(file, 'a', 0o600));
    database = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS, enableForeignKeyConstraints: true });
    useWriteAheadLog(database);
    database.exec(`PRAGMA synchronous = ${durability === 'full' ? 'FULL' : 'NORMAL'}`);
    migrate(database, file, migrations);
    fsyncDirectorySync(dirname(file));
    return database;
  } catch (error) {
    database?.close();
    throw storeFailure(`open the database ${file}`, error);
  }
}

/** Runs `work` in one transaction: all of its writes or none. */
export function inTransaction<T>(database: DatabaseSync, work: () => T): T {
  database.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    database.exec('COMMIT');
    return result;
  } catch (error) {
    // A full disk or a failed sync may have rolled back already.
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}

/** What SQLite or the disk threw, as STORE_FAILED; a ThawError stays what it is. */
export function storeFailure(doing: string, error: unknown): ThawError {
  if (error instanceof ThawError) return error;
  return new ThawError('STORE_FAILED', `could not ${doing}`, { cause: error });
}

/** What `work` gives; what it throws, as `storeFailure` tells it. */
export function guarded<T>(doing: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw storeFailure(doing, error);
  }
}

/** Of a new file that another thread opens too, the switch waits for nobody, whatever the timeout says. */
function useWriteAheadLog(database: DatabaseSync): void {
  const untilMs = performance.now() + BUSY_TIMEOUT_MS;
  for (;;) {
    try {
      database.exec('PRAGMA journal_mode = WAL');
      return;
    } catch (error) {
      if (!isBusy(error) || performance.now() > untilMs) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_PAUSE_MS);
    }
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY;
}

function migrate(database: DatabaseSync, file: string, migrations: readonly string[]): void {
  const found = versionOf(database);
  if (found > migrations.length) {
    throw new ThawError(
      'STORE_FAILED',
      `the database ${file} is of version ${found}, but this program knows versions up to ${migrations.length}: ` +
        'a newer Thaw has used it; start that one, or another data directory',
      { details: { found, known: migrations.length } },
    );
  }
  for (let version = found; version < migrations.length; version += 1) {
    inTransaction(database, () => {
      // A reader and a writer of two threads may open a new file at once.
      if (versionOf(database) > version) return;
      database.exec(migrations[version] ?? '');
      database.exec(`PRAGMA user_version = ${version + 1}`);
    });
  }
}

function versionOf(database: DatabaseSync): number {
  return Number(database.prepare('PRAGMA user_version').get()?.['user_version'] ?? 0);
}
