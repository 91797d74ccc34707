import { DatabaseSync } from 'node:sqlite';

/**
 * A lock of the operating system on a file, which dies with its process: an exclusive transaction that is never ended, on a
 * database that is never written. Processes that see no process of each other see it too. Throws when another holds it for
 * longer than `waitMsMax`; `file` may be a URL of SQLite's.
 */
export function takeLock(file: string | URL, waitMsMax: number): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: waitMsMax });
  try {
    database.exec('BEGIN EXCLUSIVE');
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}
