import { randomUUID } from 'node:crypto';
import { statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import type { Operation } from '../row-change.ts';
import { changesTable, installCapture, type Capture, type Installed } from './capture.ts';
import { readRowImage } from './row-image.ts';
import type { CapturedChange, ReadAnswer } from './sqlite-calls.ts';

/** How long a statement waits for whoever else writes to the file. */
const BUSY_MS = 5_000;
/** What one read brings at most, so that a long backlog does not become a large message. */
const READ_CHANGES_MAX = 1_000;
const READ_BYTES_MAX = 4 * 1024 * 1024;

interface ChangeRow {
  readonly position: number;
  readonly tableName: string;
  readonly operation: Operation;
  readonly key: string | null;
  readonly oldKey: string | null;
  readonly before: string | null;
  readonly after: string | null;
  readonly at: string;
}

/** A user's file, which tells of its changes while this has seen to it. Every call may wait for other programs. */
export class CapturedFile {
  readonly #path: string;
  readonly #capture: Capture;
  readonly #database: DatabaseSync;
  readonly #inode: bigint;
  readonly installed: Installed;
  /** What SQLite counts when another program has written; unknown: there may be something to read. */
  #seenVersion: number | undefined;
  #schemaVersion: number;

  constructor(path: string, capture: Capture) {
    this.#path = path;
    this.#capture = capture;
    this.#database = openExisting(path);
    this.#inode = inodeOf(path);
    try {
      this.installed = installCapture(this.#database, capture, randomUUID());
      this.#schemaVersion = this.#pragma('schema_version');
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  /** Throws where the file is another than the one that was opened. */
  read(after: number): ReadAnswer {
    if (inodeOf(this.#path) !== this.#inode)
      throw new Error(`the file ${this.#path} was replaced by another`);
    const version = this.#pragma('data_version');
    if (version === this.#seenVersion) return { changes: [] };
    const wrong = this.#captureAgain();
    const changes = this.#changesAfter(after);
    // There may be more where this was as much as one read brings.
    this.#seenVersion = changes.length === 0 ? version : undefined;
    return wrong === undefined ? { changes } : { changes, wrong };
  }

  prune(upTo: number): boolean {
    try {
      this.#database.prepare(`DELETE FROM ${changesTable(this.#capture.name)} WHERE position <= ?`).run(upTo);
      return true;
    } catch (error) {
      if (isBusy(error)) return false;
      throw error;
    }
  }

  close(): void {
    this.#database.close();
  }

  /** Columns that came since, tables that were made anew. */
  #captureAgain(): readonly string[] | undefined {
    if (this.#pragma('schema_version') === this.#schemaVersion) return undefined;
    const { wrong } = installCapture(this.#database, this.#capture, randomUUID());
    this.#schemaVersion = this.#pragma('schema_version');
    return wrong;
  }

  #changesAfter(after: number): CapturedChange[] {
    const statement = this.#database.prepare(
      `SELECT position, tableName, operation, key, oldKey, before, after, at
         FROM ${changesTable(this.#capture.name)} WHERE position > ? ORDER BY position LIMIT ${READ_CHANGES_MAX}`,
    );
    const changes: CapturedChange[] = [];
    let bytes = 0;
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the statement names the columns
    for (const row of statement.iterate(after) as Iterable<ChangeRow>) {
      changes.push(changeOf(row));
      bytes += (row.before?.length ?? 0) + (row.after?.length ?? 0);
      if (bytes >= READ_BYTES_MAX) break;
    }
    return changes;
  }

  #pragma(name: 'data_version' | 'schema_version'): number {
    const row = this.#database.prepare(`PRAGMA ${name}`).get();
    return Number(row?.[name]);
  }
}

function changeOf({
  position,
  tableName,
  operation,
  key,
  oldKey,
  before,
  after,
  at,
}: ChangeRow): CapturedChange {
  return {
    position,
    table: tableName,
    operation,
    key: readRowImage(key),
    isKeyChange: oldKey !== null && oldKey !== key,
    before: readRowImage(before),
    after: readRowImage(after),
    at,
  };
}

/** Never makes the file: a path that is wrong must not become an empty database. */
export function openExisting(path: string): DatabaseSync {
  statSync(path);
  return new DatabaseSync(path, { timeout: BUSY_MS });
}

function inodeOf(path: string): bigint {
  return statSync(path, { bigint: true }).ino;
}

const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;

function isBusy(error: unknown): boolean {
  if (!(error instanceof Error) || !('errcode' in error)) return false;
  const primary = Number(error.errcode) & 0xff;
  return primary === SQLITE_BUSY || primary === SQLITE_LOCKED;
}
