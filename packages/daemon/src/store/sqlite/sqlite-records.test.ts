import assert from 'node:assert/strict';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { testRecordsContract } from '../records-contract.ts';
import { openControlDatabase, openSqliteDatabase } from './sqlite-database.ts';
import { SqliteRecords } from './sqlite-records.ts';

const writer = fileURLToPath(new URL('sqlite-records-writer.ts', import.meta.url));

async function temporaryDirectory() {
  const path = await mkdtemp(join(tmpdir(), 'thaw-records-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

testRecordsContract('SqliteRecords', async () => {
  const directory = await temporaryDirectory();
  return {
    open: () => Promise.resolve(new SqliteRecords(directory.path)),
    writer: (first) => [writer, directory.path, String(first)],
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
});

describe('the SQLite database', () => {
  it('is readable by its owner only, and so is its log', async () => {
    await using directory = await temporaryDirectory();
    const database = openControlDatabase(directory.path);
    for (const name of ['thaw.db', 'thaw.db-wal', 'thaw.db-shm']) {
      assert.equal((await stat(join(directory.path, name))).mode & 0o777, 0o600, name);
    }
    database.close();
  });

  it('waits for the disk at every commit and for other processes a while', async () => {
    await using directory = await temporaryDirectory();
    const database = openControlDatabase(directory.path);
    const pragma = (name: string) => Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0];
    assert.deepEqual(['journal_mode', 'synchronous', 'foreign_keys', 'busy_timeout'].map(pragma), [
      'wal',
      2,
      1,
      5000,
    ]);
    database.close();
  });

  it('refuses a database of a newer program and leaves it alone', async () => {
    await using directory = await temporaryDirectory();
    const file = join(directory.path, 'thaw.db');
    const newer = new DatabaseSync(file);
    newer.exec('PRAGMA user_version = 99');
    newer.close();
    assert.throws(
      () => new SqliteRecords(directory.path),
      (error) =>
        error instanceof ThawError && error.code === 'STORE_FAILED' && /version 99/.test(error.message),
    );
  });

  it('applies each migration once, and none of a failing one', async () => {
    await using directory = await temporaryDirectory();
    const file = join(directory.path, 'x.db');
    const good = ['CREATE TABLE a (x)', 'CREATE TABLE b (x)'];
    openSqliteDatabase(file, good.slice(0, 1), 'full').close();
    openSqliteDatabase(file, good, 'full').close();
    const bad = [...good, 'CREATE TABLE c (x); CREATE TABLE a (x)'];
    assert.throws(
      () => openSqliteDatabase(file, bad, 'full'),
      (error) => error instanceof ThawError && error.code === 'STORE_FAILED',
    );
    const database = openSqliteDatabase(file, good, 'full');
    const tables = database
      .prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
      .all();
    assert.deepEqual(
      tables.map((table) => table['name']),
      ['a', 'b'],
    );
    database.close();
  });

  it('says STORE_FAILED for a file that is not a database', async () => {
    await using directory = await temporaryDirectory();
    await writeFile(
      join(directory.path, 'thaw.db'),
      'not a database, and long enough to be read as one'.repeat(100),
    );
    assert.throws(
      () => new SqliteRecords(directory.path),
      (error) => error instanceof ThawError && error.code === 'STORE_FAILED',
    );
  });
});

describe('SqliteRecords', () => {
  it('tells the other watchers, in order, when one throws', async (t) => {
    await using directory = await temporaryDirectory();
    const records = new SqliteRecords(directory.path);
    const seen: string[] = [];
    const thrown: unknown[] = [];
    process.setUncaughtExceptionCaptureCallback((error) => thrown.push(error));
    t.after(() => process.setUncaughtExceptionCaptureCallback(null));
    records.watch('', () => {
      throw new Error('a watcher failed');
    });
    records.watch('', (change) => seen.push(change.kind === 'put' ? change.record.key : change.key));
    records.put('a', 1);
    records.put('b', 1);
    const deadline = performance.now() + 10_000;
    while (seen.length < 2 && performance.now() < deadline)
      await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(seen, ['a', 'b']);
    assert.equal(thrown.length, 2);
    records.close();
  });
});
