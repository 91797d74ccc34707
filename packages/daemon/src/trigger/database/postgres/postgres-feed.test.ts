import assert from 'node:assert/strict';
import { createServer, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { DatabaseTriggerConfig } from '@thaw/protocol/fc/triggers/database.ts';
import { afterTest } from '@thaw/testkit/after-test.ts';
import { makeLocalPostgres, postgresPrograms, type LocalPostgres } from '@thaw/testkit/local-postgres.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { Client } from 'pg';
import type { DatabaseTrigger } from '../../../model/trigger.ts';
import { WatchedDirectories } from '../../oss/watched-directories.ts';
import type { AttachedTrigger } from '../../trigger-source.ts';
import { DatabaseSource } from '../database-source.ts';
import { RecordingTarget } from '../recording-target.ts';

const bin = await postgresPrograms();
const skip = bin === undefined ? 'not installed: postgresql' : false;
/** A machine under load starts a server and makes a slot in its own time. */
const WAIT_MS_MAX = 120_000;
const LOGICAL = ['wal_level=logical'];
const source = new DatabaseSource(new WatchedDirectories([]));

async function startServer(t: TestContext, settings: readonly string[] = LOGICAL): Promise<LocalPostgres> {
  const server = await makeLocalPostgres(t, bin ?? '');
  await server.start(settings);
  return server;
}

async function connect(t: TestContext, url: string): Promise<Client> {
  const client = new Client(url);
  client.on('error', () => undefined);
  await client.connect();
  afterTest(t, () => client.end());
  return client;
}

function trigger(url: string, config: Partial<DatabaseTriggerConfig> = {}): DatabaseTrigger {
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
      url,
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

/** Attached, and the slot is there: what is changed from now on is told. */
async function follow(
  t: TestContext,
  url: string,
  target: RecordingTarget,
  config: Partial<DatabaseTriggerConfig> = {},
): Promise<AttachedTrigger> {
  const attached = source.attach(trigger(url, config), target);
  afterTest(t, () => attached.detach());
  await waitFor('the slot', () => hasPosition(target.state.get()), WAIT_MS_MAX);
  return attached;
}

function hasPosition(state: unknown): boolean {
  return typeof state === 'object' && state !== null && 'lsn' in state;
}

const keysOf = (target: RecordingTarget): unknown[] => target.changes.map(({ key }) => key?.['id']);

/** The problem that a database with these settings and this config leads to. */
async function problemOf(
  t: TestContext,
  url: string,
  config: Partial<DatabaseTriggerConfig> = {},
  target = new RecordingTarget(),
): Promise<ThawError> {
  const attached = source.attach(trigger(url, config), target);
  afterTest(t, () => attached.detach());
  const problem = await waitFor('a problem', () => target.problem, WAIT_MS_MAX);
  await attached.detach();
  return problem;
}

test(
  'row changes of every kind, with the key, the old key, and values that were not sent again',
  { skip },
  async (t) => {
    const server = await startServer(t);
    const client = await connect(t, server.url);
    await client.query(`
    CREATE TYPE mood AS ENUM ('good', 'bad');
    CREATE SCHEMA shop;
    CREATE TABLE shop."Orders" (id int PRIMARY KEY, total numeric, big int8, at timestamptz, data jsonb,
      tags text[], moods mood[], bytes bytea, long text);
    ALTER TABLE shop."Orders" ALTER long SET STORAGE EXTERNAL;
    CREATE TABLE whole (a int, b text);
    ALTER TABLE whole REPLICA IDENTITY FULL;
    CREATE TABLE other (id int PRIMARY KEY)`);
    const target = new RecordingTarget();
    await follow(t, server.url, target, { tables: ['shop.Orders', 'whole', 'public.whole'] });
    const long = 'x'.repeat(10_000);
    await client.query(
      `INSERT INTO shop."Orders" VALUES (1, 1.50, 9007199254740993, '2026-01-02 03:04:05.678901+02', '{"n": 1.10}',
       '{a,NULL}', '{good,bad}', '\\x00ff', $1)`,
      [long],
    );
    await client.query('INSERT INTO other VALUES (1)');
    await client.query(`UPDATE shop."Orders" SET total = 2`);
    await client.query(`UPDATE shop."Orders" SET id = 2`);
    await client.query(`BEGIN; DELETE FROM shop."Orders"; INSERT INTO whole VALUES (1, 'x'); COMMIT`);
    await client.query(`UPDATE whole SET b = 'y'`);
    await waitFor('six changes', () => target.changes.length === 6, WAIT_MS_MAX);
    const after = {
      id: 1,
      total: '1.50',
      big: '9007199254740993',
      at: '2026-01-02T01:04:05.678901Z',
      data: { n: 1.1 },
      tags: ['a', null],
      moods: ['good', 'bad'],
      bytes: 'AP8=',
    };
    const place = { schema: 'shop', table: 'Orders' };
    const all = { schema: 'public', table: 'whole', key: null };
    assert.deepEqual(
      target.changes.map(({ id: _id, committedAt: _at, transactionId: _tx, position: _p, ...told }) => told),
      [
        { ...place, operation: 'insert', key: { id: 1 }, before: null, after: { ...after, long } },
        {
          ...place,
          operation: 'update',
          key: { id: 1 },
          before: null,
          after: { ...after, total: '2' },
          unchanged: ['long'],
        },
        {
          ...place,
          operation: 'update',
          key: { id: 2 },
          before: { id: 1 },
          after: { ...after, id: 2, total: '2' },
          unchanged: ['long'],
        },
        { ...place, operation: 'delete', key: { id: 2 }, before: { id: 2 }, after: null },
        { ...all, operation: 'insert', before: null, after: { a: 1, b: 'x' } },
        { ...all, operation: 'update', before: { a: 1, b: 'x' }, after: { a: 1, b: 'y' } },
      ],
    );
    const [, , , deleted, inserted] = target.changes;
    assert.equal(deleted?.transactionId, inserted?.transactionId);
    assert.equal(new Set(target.changes.map(({ id }) => id)).size, 6);
    for (const { committedAt } of target.changes)
      assert.match(committedAt, /^\d{4}-\d\d-\d\dT[\d:]+\.\d{6}Z$/u);
  },
);

test('operations that were not asked for are not told', { skip }, async (t) => {
  const server = await startServer(t);
  const client = await connect(t, server.url);
  await client.query('CREATE TABLE t (id int)');
  const target = new RecordingTarget();
  // Without a primary key inserts can be followed, and updates stay possible for the table's users.
  await follow(t, server.url, target, { operations: ['insert'] });
  await client.query(
    'INSERT INTO t VALUES (1); UPDATE t SET id = 2; DELETE FROM t; INSERT INTO t VALUES (3)',
  );
  await waitFor('both inserts', () => target.changes.length === 2, WAIT_MS_MAX);
  assert.deepEqual(
    target.changes.map(({ after }) => after),
    [{ id: 1 }, { id: 3 }],
  );
});

test(
  'a transaction goes on in its middle, and one that commits right behind another is not skipped',
  { skip },
  async (t) => {
    const server = await startServer(t);
    const [first, second] = [await connect(t, server.url), await connect(t, server.url)];
    await first.query('CREATE TABLE t (id int PRIMARY KEY)');
    const target = new RecordingTarget();
    const refusal = new ThawError('THROTTLED', 'no slot');
    const takenMax = { number: 3 };
    target.answer = () => (target.changes.length < takenMax.number ? undefined : refusal);
    const config = { batchSize: 1 };
    let attached = await follow(t, server.url, target, config);
    // Both transactions are open at once, so that their commits stand next to each other in the log.
    await first.query('BEGIN; INSERT INTO t SELECT generate_series(1, 5)');
    await second.query('BEGIN; INSERT INTO t VALUES (6), (7)');
    await first.query('COMMIT');
    await second.query('COMMIT');
    for (const number of [3, 5, 6, 7]) {
      takenMax.number = number;
      await waitFor(`${number} changes`, () => target.changes.length === number, WAIT_MS_MAX);
      await waitFor(
        'the next to be refused',
        () => number === 7 || target.problem !== undefined,
        WAIT_MS_MAX,
      );
      await attached.detach();
      attached = await follow(t, server.url, target, config);
    }
    await first.query('INSERT INTO t VALUES (8)');
    takenMax.number = Infinity;
    await waitFor('the last', () => target.changes.length >= 8, WAIT_MS_MAX);
    assert.deepEqual(keysOf(target), [1, 2, 3, 4, 5, 6, 7, 8]);
  },
);

test(
  'a server that crashes or restarts loses no change, and what is taken need not be kept there',
  { skip },
  async (t) => {
    const server = await startServer(t);
    let client = await connect(t, server.url);
    await client.query('CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE noise (id int)');
    const target = new RecordingTarget();
    await follow(t, server.url, target);
    let id = 0;
    for (const how of ['kill', 'fast'] as const) {
      for (let count = 0; count < 200; count += 1) {
        id += 1;
        await client.query('INSERT INTO t VALUES ($1)', [id]);
      }
      await server.stop(how);
      await server.start(LOGICAL);
      client = await connect(t, server.url);
    }
    await waitFor('all changes', () => new Set(keysOf(target)).size === id, WAIT_MS_MAX);
    const firsts = [...new Set(keysOf(target))];
    assert.deepEqual(
      firsts,
      Array.from({ length: id }, (_, index) => index + 1),
    );
    assert.equal(new Set(target.changes.map((change) => change.id)).size, id);
    await client.query('INSERT INTO noise SELECT generate_series(1, 1000)');
    const { rows } = await client.query<{ lsn: string }>('SELECT pg_current_wal_lsn()::text AS lsn');
    await waitFor(
      'the server to be told, although nothing of it is followed',
      async () => {
        const slots = 'SELECT confirmed_flush_lsn >= $1::pg_lsn AS reached FROM pg_replication_slots';
        return (await client.query<{ reached: boolean }>(slots, [rows[0]?.lsn])).rows[0]?.reached;
      },
      WAIT_MS_MAX,
    );
  },
);

test(
  'a long transaction is taken in as fast as the function takes it, and no faster',
  { skip },
  async (t) => {
    const server = await startServer(t);
    const client = await connect(t, server.url);
    await client.query('CREATE TABLE t (id int PRIMARY KEY, text text)');
    const target = new RecordingTarget();
    const gate = Promise.withResolvers<undefined>();
    target.answer = () => gate.promise;
    await follow(t, server.url, target, { batchSize: 1000 });
    // 64 MB of rows, far more than may wait here.
    await client.query(`INSERT INTO t SELECT n, repeat(md5(n::text), 512) FROM generate_series(1, 4000) n`);
    await waitFor('the first batch', () => target.running === 1, WAIT_MS_MAX);
    await waitFor(
      'the server to wait for us',
      async () => {
        const waits = "SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'walsender'";
        return (
          (await client.query<{ wait_event: string }>(waits)).rows[0]?.wait_event === 'WalSenderWriteData'
        );
      },
      WAIT_MS_MAX,
    );
    gate.resolve(undefined);
    await waitFor('all changes', () => target.changes.length === 4000, WAIT_MS_MAX);
    assert.deepEqual(
      keysOf(target),
      Array.from({ length: 4000 }, (_, index) => index + 1),
    );
  },
);

test('what a person has to put right is told in words that help', { skip }, async (t) => {
  const server = await startServer(t, [...LOGICAL, 'max_replication_slots=1']);
  const client = await connect(t, server.url);
  await client.query(`
    CREATE ROLE guarded LOGIN REPLICATION PASSWORD 'right';
    CREATE ROLE weak LOGIN;
    CREATE TABLE t (id int PRIMARY KEY);
    CREATE TABLE keyless (id int);
    CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY)`);
  const wrongPassword = await problemOf(t, server.urlOf('guarded', 'wrong'));
  assert.equal(wrongPassword.code, 'SOURCE_REFUSED');
  assert.match(wrongPassword.message, /refuses the password/u);
  assert.ok(!wrongPassword.message.includes('wrong'));
  const notOwner = await problemOf(t, server.urlOf('weak', ''));
  assert.match(notOwner.message, /CREATE PUBLICATION "thaw_5f3c/u);

  const tables = await problemOf(t, server.url, { tables: ['missing', 'keyless', 'unlogged'] });
  assert.equal(tables.code, 'SOURCE_REFUSED');
  assert.match(tables.message, /no table "public"."missing"/u);
  assert.match(tables.message, /"public"."keyless" has no primary key/u);
  assert.match(tables.message, /"public"."unlogged" is unlogged/u);
  // Its users may go on updating it.
  await client.query('INSERT INTO keyless VALUES (1); UPDATE keyless SET id = 2');

  await client.query('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots');
  await client.query("SELECT pg_create_physical_replication_slot('taken')");
  assert.match((await problemOf(t, server.url)).message, /max_replication_slots/u);

  const target = new RecordingTarget();
  target.state.set({
    kind: 'postgres',
    url: server.url,
    name: 'thaw_5f3c9d1e000040008000000000000001',
    lsn: '0/1',
  });
  const lost = await problemOf(t, server.url, {}, target);
  assert.equal(lost.code, 'CHANGES_LOST');

  await server.stop();
  const gone = await problemOf(t, server.url);
  assert.equal(gone.code, 'SOURCE_UNREACHABLE');
  await server.start(['wal_level=replica']);
  assert.match((await problemOf(t, server.url)).message, /set wal_level = logical/u);
});

test('detached at any moment, nothing of it goes on', { skip }, async (t) => {
  const server = await startServer(t);
  const client = await connect(t, server.url);
  await client.query('CREATE TABLE t (id int PRIMARY KEY)');
  const target = new RecordingTarget();
  for (let round = 0; round < 40; round += 1) {
    const attached = source.attach(trigger(server.url), target);
    const reached = round % 4;
    // Connecting, with the slot made, with the stream about to begin, with the stream.
    if (reached > 0) await waitFor('the slot', () => hasPosition(target.state.get()), WAIT_MS_MAX);
    for (let turn = 0; turn < (reached === 2 ? round : 0); turn += 1) await new Promise(setImmediate);
    if (reached === 3) await waitFor('the stream', () => isStreaming(client), WAIT_MS_MAX);
    await attached.detach();
  }
  const connections = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'thaw'";
  await waitFor(
    'every connection to end',
    async () => (await client.query(connections)).rows.length === 0,
    WAIT_MS_MAX,
  );
  await follow(t, server.url, target);
  await client.query('INSERT INTO t VALUES (1)');
  await waitFor('the change', () => target.changes.length === 1, WAIT_MS_MAX);
});

test('a server that never answers keeps no trigger attached', async (t) => {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    socket.pause();
    socket.on('error', () => undefined);
    sockets.add(socket);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  afterTest(t, () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const target = new RecordingTarget();
  const attached = source.attach(trigger(`postgres://thaw@127.0.0.1:${address.port}/postgres`), target);
  await waitFor('a connection', () => sockets.size > 0);
  await attached.detach();
});

async function isStreaming(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ active: boolean }>('SELECT active FROM pg_replication_slots');
  return rows[0]?.active === true;
}

test('a trigger that is removed leaves neither slot nor publication', { skip }, async (t) => {
  const server = await startServer(t);
  const client = await connect(t, server.url);
  await client.query('CREATE TABLE t (id int PRIMARY KEY)');
  const target = new RecordingTarget();
  const attached = await follow(t, server.url, target);
  const left = async (): Promise<unknown[]> =>
    (
      await client.query(
        'SELECT slot_name FROM pg_replication_slots UNION ALL SELECT pubname FROM pg_publication',
      )
    ).rows;
  assert.equal((await left()).length, 2);
  await attached.detach();
  await source.removed(target.state.get(), AbortSignal.timeout(WAIT_MS_MAX));
  assert.deepEqual(await left(), []);
  await source.removed(target.state.get(), AbortSignal.timeout(WAIT_MS_MAX));
});
