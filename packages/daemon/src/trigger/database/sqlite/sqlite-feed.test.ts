import assert from 'node:assert/strict';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test, type TestContext } from 'node:test';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { DatabaseTriggerConfig } from '@thaw/protocol/fc/triggers/database.ts';
import { afterTest } from '@thaw/testkit/after-test.ts';
import { temporaryDirectory } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import type { DatabaseTrigger } from '../../../model/trigger.ts';
import { WatchedDirectories } from '../../oss/watched-directories.ts';
import type { AttachedTrigger } from '../../trigger-source.ts';
import { DatabaseSource } from '../database-source.ts';
import { RecordingTarget } from '../recording-target.ts';

/** Two programs share the file, so each waits for the other. */
const WAITING = { timeout: 60_000 };

interface Trial {
  readonly path: string;
  readonly database: DatabaseSync;
  readonly target: RecordingTarget;
  readonly source: DatabaseSource;
  readonly attach: (config?: Partial<DatabaseTriggerConfig>) => Promise<AttachedTrigger>;
}

async function openTrial(t: TestContext, sql: string): Promise<Trial> {
  const directory = await temporaryDirectory(t);
  const path = join(directory, 'shop.db');
  const database = new DatabaseSync(path, WAITING);
  afterTest(t, () => database.close());
  database.exec(sql);
  const target = new RecordingTarget();
  const source = new DatabaseSource(new WatchedDirectories([directory]));
  return {
    path,
    database,
    target,
    source,
    attach: async (config = {}) => {
      const attached = source.attach(trigger(path, config), target);
      afterTest(t, () => attached.detach());
      await waitFor(
        'the file to be followed',
        () => hasPosition(target.state.get()) || target.problem !== undefined,
      );
      return attached;
    },
  };
}

function trigger(path: string, config: Partial<DatabaseTriggerConfig>): DatabaseTrigger {
  return {
    triggerId: '5f3c9d1e-0000-4000-8000-000000000001',
    functionName: 'f',
    triggerName: 'changes',
    triggerType: 'database',
    qualifier: 'LATEST',
    description: '',
    sourceArn: '',
    invocationRole: '',
    triggerConfigText: '',
    createdTime: '',
    lastModifiedTime: '',
    isPaused: false,
    config: {
      url: `sqlite:${path}`,
      tables: ['t'],
      operations: ['insert', 'update', 'delete'],
      batchSize: 100,
      batchWindowMs: 0,
      maxRetries: 0,
      parallelism: 1,
      ...config,
    },
  };
}

function hasPosition(state: unknown): boolean {
  return typeof state === 'object' && state !== null && 'position' in state;
}

test('inserts, updates and deletes of every kind of value arrive in order, and are forgotten then', async (t) => {
  const { database, target, attach } = await openTrial(
    t,
    'CREATE TABLE t (id INTEGER PRIMARY KEY, v, "odd ""name" TEXT)',
  );
  await attach();
  const values = [null, 5, 9007199254740993n, 0.1, Infinity, "it's", new Uint8Array([0, 255])] as const;
  const insert = database.prepare('INSERT INTO t VALUES (?, ?, ?)');
  for (const [index, value] of values.entries()) insert.run(index, value, 'x');
  database.exec("UPDATE t SET v = 'new', id = 50 WHERE id = 0; DELETE FROM t WHERE id = 1");
  await waitFor('all changes', () => target.changes.length === values.length + 2);
  const told = target.changes.map(({ operation, key, before, after, schema, table }) => ({
    operation,
    key,
    before,
    after,
    schema,
    table,
  }));
  const expected = [null, 5, '9007199254740993', 0.1, 'Inf', "it's", 'AP8='].map((v, id) => ({
    operation: 'insert',
    key: { id },
    before: null,
    after: { id, v, 'odd "name': 'x' },
    schema: 'main',
    table: 't',
  }));
  const place = { schema: 'main', table: 't' };
  assert.deepEqual(told, [
    ...expected,
    {
      operation: 'update',
      key: { id: 50 },
      before: { id: 0, v: null, 'odd "name': 'x' },
      after: { id: 50, v: 'new', 'odd "name': 'x' },
      ...place,
    },
    { operation: 'delete', key: { id: 1 }, before: { id: 1, v: 5, 'odd "name': 'x' }, after: null, ...place },
  ]);
  assert.equal(new Set(target.changes.map(({ id }) => id)).size, told.length);
  await waitFor('what was taken to be forgotten in the file', () => {
    const [row] = database.prepare(`SELECT count(*) AS n FROM ${changesTableOf(database)}`).all();
    return row?.['n'] === 0;
  });
});

function changesTableOf(database: DatabaseSync): string {
  const row = database
    .prepare("SELECT name FROM sqlite_master WHERE name LIKE '\\_thaw\\_%changes' ESCAPE '\\'")
    .get();
  return `"${String(row?.['name'])}"`;
}

test('keys: several columns, none, and tables without rowid; columns by the hundred', async (t) => {
  const many = Array.from({ length: 150 }, (_, index) => `c${index}`);
  const { database, target, attach } = await openTrial(
    t,
    `CREATE TABLE two (a TEXT, b INTEGER, n INTEGER, PRIMARY KEY (b, a)) WITHOUT ROWID;
     CREATE TABLE none (rowid TEXT, n INTEGER);
     CREATE TABLE wide (${many.join(', ')})`,
  );
  await attach({ tables: ['TWO', 'none', 'main.wide', 'two'] });
  database.exec(`INSERT INTO two VALUES ('x', 1, 0); INSERT INTO none VALUES ('taken', 3);
                 INSERT INTO wide VALUES (${many.map((_, index) => index).join(', ')})`);
  await waitFor('three changes', () => target.changes.length === 3);
  const [two, none, wide] = target.changes;
  assert.deepEqual(two?.key, { b: 1, a: 'x' });
  assert.deepEqual(none?.key, { _rowid_: 1 });
  assert.deepEqual(wide?.after, Object.fromEntries(many.map((column, index) => [column, index])));
});

test('operations that were not asked for are not told, and do not stand in the file', async (t) => {
  const { database, target, attach } = await openTrial(t, 'CREATE TABLE t (id INTEGER PRIMARY KEY, v)');
  await attach({ operations: ['delete'] });
  database.exec(
    'INSERT INTO t VALUES (1, 2); UPDATE t SET v = 3; DELETE FROM t; INSERT INTO t VALUES (4, 5)',
  );
  await waitFor('the delete', () => target.changes.length > 0);
  assert.deepEqual(
    target.changes.map(({ operation, key }) => [operation, key]),
    [['delete', { id: 1 }]],
  );
});

test('what happens while nobody looks is told afterwards; a column that is added is told from then on', async (t) => {
  const { database, target, attach } = await openTrial(t, 'CREATE TABLE t (id INTEGER PRIMARY KEY)');
  const attached = await attach();
  database.exec('INSERT INTO t VALUES (1)');
  await waitFor('the first change', () => target.changes.length === 1);
  await attached.detach();
  database.exec('INSERT INTO t VALUES (2)');
  await attach();
  await waitFor('the second change', () => target.changes.length === 2);
  database.exec('ALTER TABLE t ADD COLUMN later TEXT');
  let id = 2;
  await waitFor('a change with the column', () => {
    id += 1;
    database.prepare("INSERT INTO t VALUES (?, 'here')").run(id);
    return target.changes.some(({ after }) => after?.['later'] === 'here');
  });
});

test('a table that is missing is a problem until it is there; other tables go on', async (t) => {
  const { database, target, attach } = await openTrial(
    t,
    'CREATE TABLE t (id INTEGER PRIMARY KEY); CREATE VIEW v AS SELECT 1',
  );
  await attach({ tables: ['t', 'later', 'v'] });
  await waitFor('the problem', () =>
    target.problem?.message.includes('there is no table later; v is a view'),
  );
  database.exec('INSERT INTO t VALUES (1); CREATE TABLE later (id)');
  await waitFor('a smaller problem', () => target.problem?.message.includes('later') === false);
  database.exec('INSERT INTO later VALUES (7)');
  await waitFor('both changes', () => target.changes.length === 2);
});

test('a program that holds the file delays changes and loses none', async (t) => {
  const { database, target, attach } = await openTrial(t, 'CREATE TABLE t (id INTEGER PRIMARY KEY)');
  await attach();
  database.exec('BEGIN EXCLUSIVE');
  for (let id = 1; id <= 50; id += 1) database.prepare('INSERT INTO t VALUES (?)').run(id);
  await waitFor('the problem', () => target.problem?.message.includes('locked'), 60_000);
  database.exec('COMMIT');
  await waitFor('the changes', () => target.changes.length === 50);
  await waitFor('no problem any more', () => target.problem === undefined);
  assert.deepEqual(
    target.changes.map(({ key }) => key?.['id']),
    Array.from({ length: 50 }, (_, index) => index + 1),
  );
});

test('a file that is replaced by another is followed from its beginning', async (t) => {
  const { path, database, target, attach } = await openTrial(t, 'CREATE TABLE t (id INTEGER PRIMARY KEY)');
  await attach();
  database.exec('INSERT INTO t VALUES (1)');
  await waitFor('the first change', () => target.changes.length === 1);
  const made = new DatabaseSync(`${path}.new`);
  made.exec('CREATE TABLE t (id INTEGER PRIMARY KEY)');
  made.close();
  await rename(`${path}.new`, path);
  const other = new DatabaseSync(path, WAITING);
  afterTest(t, () => other.close());
  let id = 1;
  await waitFor('changes of the other file', () => {
    id += 1;
    other.prepare('INSERT INTO t VALUES (?)').run(id);
    return target.changes.length > 1;
  });
});

test('what cannot be followed is told in words that help', async (t) => {
  const { path, target, source, attach } = await openTrial(t, 'CREATE TABLE t (id)');
  const denied = new RecordingTarget();
  const elsewhere = new DatabaseSource(new WatchedDirectories([])).attach(trigger(path, {}), denied);
  afterTest(t, () => elsewhere.detach());
  await waitFor('the refusal', () => denied.problem !== undefined);
  assert.equal(denied.problem?.code, 'INVALID_ARGUMENT');
  assert.match(denied.problem?.message ?? '', /--watch-dir/u);

  const gone = new RecordingTarget();
  const missing = source.attach(trigger(`${path}.missing`, {}), gone);
  afterTest(t, () => missing.detach());
  await waitFor('the missing file', () => gone.problem !== undefined);
  assert.equal(gone.problem?.code, 'SOURCE_UNREACHABLE');
  assert.throws(() => source.check(trigger('relative.db', {})), { code: 'INVALID_ARGUMENT' });
  await attach();
  assert.equal(target.problem, undefined);
});

test('a trigger that is removed leaves the file as it was', async (t) => {
  const { path, database, source, target, attach } = await openTrial(
    t,
    'CREATE TABLE t (id INTEGER PRIMARY KEY)',
  );
  const names = (): unknown[] =>
    database.prepare("SELECT name FROM sqlite_master WHERE name LIKE '%thaw%'").all();
  const attached = await attach();
  assert.equal(names().length, 5);
  await attached.detach();
  await source.removed(target.state.get(), AbortSignal.timeout(60_000));
  assert.deepEqual(names(), []);
  database.exec('INSERT INTO t VALUES (1)');
  await rm(path);
  await source.removed(target.state.get(), AbortSignal.timeout(60_000));
});

test('a failing function gets the same changes again, and then the rest', async (t) => {
  const { database, target, attach } = await openTrial(t, 'CREATE TABLE t (id INTEGER PRIMARY KEY)');
  let failures = 2;
  target.answer = () => {
    failures -= 1;
    return failures < 0 ? undefined : new ThawError('THROTTLED', 'no slot');
  };
  await attach();
  database.exec('INSERT INTO t VALUES (1), (2)');
  await waitFor('the changes', () => target.changes.length === 2);
  assert.deepEqual(target.submitted, []);
});
