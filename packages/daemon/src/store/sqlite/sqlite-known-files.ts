import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import type { FileMark, KnownFiles } from '../known-files.ts';
import { guarded, inTransaction, openSqliteDatabase } from './sqlite-database.ts';

const MIGRATIONS = [
  `
  CREATE TABLE files (
    trigger_id TEXT NOT NULL,
    path TEXT NOT NULL,
    size INTEGER NOT NULL,
    modified_ms REAL NOT NULL,
    PRIMARY KEY (trigger_id, path)
  ) STRICT, WITHOUT ROWID;
  `,
];

/** `KnownFiles` in `<directory>/watched-files.db`. */
export class SqliteKnownFiles implements KnownFiles {
  readonly #database: DatabaseSync;

  /** Throws STORE_FAILED. */
  constructor(directory: string) {
    this.#database = openSqliteDatabase(join(directory, 'watched-files.db'), MIGRATIONS, 'full');
  }

  get(triggerId: string, path: string): FileMark | undefined {
    return this.#guarded(() => {
      const row = this.#database
        .prepare('SELECT size, modified_ms FROM files WHERE trigger_id = ? AND path = ?')
        .get(triggerId, path);
      return row && { size: Number(row['size']), modifiedMs: Number(row['modified_ms']) };
    });
  }

  set(triggerId: string, path: string, mark: FileMark): void {
    this.setAll(triggerId, new Map([[path, mark]]));
  }

  setAll(triggerId: string, marks: ReadonlyMap<string, FileMark>): void {
    this.#guarded(() =>
      inTransaction(this.#database, () => {
        const put = this.#database.prepare('INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)');
        for (const [path, { size, modifiedMs }] of marks) put.run(triggerId, path, size, modifiedMs);
      }),
    );
  }

  delete(triggerId: string, path: string): void {
    this.#guarded(() =>
      this.#database.prepare('DELETE FROM files WHERE trigger_id = ? AND path = ?').run(triggerId, path),
    );
  }

  paths(triggerId: string): readonly string[] {
    return this.#guarded(() =>
      this.#database
        .prepare('SELECT path FROM files WHERE trigger_id = ?')
        .all(triggerId)
        .map((row) => String(row['path'])),
    );
  }

  forget(triggerId: string): void {
    this.#guarded(() => this.#database.prepare('DELETE FROM files WHERE trigger_id = ?').run(triggerId));
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close();
  }

  #guarded<T>(work: () => T): T {
    return guarded('read or write what is known of watched files', work);
  }
}
