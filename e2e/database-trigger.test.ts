import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test, type TestContext } from 'node:test';
import { afterTest } from '@thaw/testkit/after-test.ts';
import { makeLocalPostgres, postgresPrograms, type LocalPostgres } from '@thaw/testkit/local-postgres.ts';
import { startPlatform, temporaryDirectory, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { Client } from 'pg';
import { openCollector, COLLECTOR_FUNCTION, type ChangeCollector } from './support/change-collector.ts';
import { createEventTrigger, deleteTrigger, triggerStatus } from './support/event-triggers.ts';
import { createFunction } from './support/functions.ts';

const bin = await postgresPrograms();
const skip = bin === undefined ? 'not installed: postgresql' : false;
const WAIT_MS_MAX = 180_000;

const KEYS = 20;
const CHANGES = 2_000;
/** The platform is killed when so many changes have come. */
const KILLS_AT = [200, 900, 1_500];

/** Where the changes of one kind of database come from. */
interface Writer {
  /** One row's next change. */
  write(key: number, number: number): Promise<void> | void;
}

/** Without a sandbox, so that the function reaches the collector on the loopback whoever runs the tests. */
function start(t: TestContext, dataDir: string, watchDirectory?: string): Promise<Platform> {
  return startPlatform(t, {
    dataDir,
    isolation: 'process',
    ...(watchDirectory === undefined ? {} : { arguments: ['--watch-dir', watchDirectory] }),
  });
}

async function createCollecting(platform: Platform, collector: ChangeCollector): Promise<void> {
  await createFunction(platform, 'collect', {
    code: COLLECTOR_FUNCTION,
    fields: { environmentVariables: { COLLECTOR: collector.url } },
  });
}

/** Writes all changes while the platform is killed and started again, and counts what came. */
async function loseNothing(
  collector: ChangeCollector,
  writer: Writer,
  platform: Platform,
  restart: () => Promise<Platform>,
): Promise<Platform> {
  let running = platform;
  let written = 0;
  const writing = (async () => {
    for (; written < CHANGES; written += 1) await writer.write(written % KEYS, Math.floor(written / KEYS));
  })();
  for (const number of KILLS_AT) {
    await waitFor(`${number} changes`, () => collector.distinct().length >= number, WAIT_MS_MAX);
    await running.kill();
    running = await restart();
  }
  await writing;
  await waitFor('every change', () => collector.distinct().length >= CHANGES, WAIT_MS_MAX);
  const seen = collector.distinct();
  assert.equal(seen.length, CHANGES, 'no change has two ids');
  for (let key = 0; key < KEYS; key += 1) {
    const numbers = seen.filter((change) => change.key?.['id'] === key).map(({ after }) => after?.['number']);
    assert.deepEqual(
      numbers,
      Array.from({ length: CHANGES / KEYS }, (_, index) => index),
      `row ${key}`,
    );
  }
  for (const event of collector.events) {
    for (const key of new Set(event.map((change) => change.key?.['id']))) {
      const numbers = event
        .filter((change) => change.key?.['id'] === key)
        .map(({ after }) => Number(after?.['number']));
      assert.deepEqual(
        numbers,
        numbers.toSorted((a, b) => a - b),
      );
    }
  }
  return running;
}

async function startDatabase(t: TestContext): Promise<{ server: LocalPostgres; client: Client }> {
  const server = await makeLocalPostgres(t, bin ?? '');
  await server.start(['wal_level=logical']);
  const client = new Client(server.url);
  client.on('error', () => undefined);
  await client.connect();
  afterTest(t, () => client.end());
  return { server, client };
}

const slots = async (client: Client): Promise<number> =>
  (await client.query('SELECT 1 FROM pg_replication_slots UNION ALL SELECT 2 FROM pg_publication')).rows
    .length;

test(
  'PostgreSQL: kill -9 in the middle of 2,000 changes loses none and keeps the order of each key',
  { skip },
  async (t) => {
    const { server, client } = await startDatabase(t);
    await client.query('CREATE TABLE rows (id int PRIMARY KEY, number int)');
    const collector = await openCollector(t);
    const dataDir = await temporaryDirectory(t);
    let platform = await start(t, dataDir);
    await createCollecting(platform, collector);
    await createEventTrigger(platform, 'collect', {
      triggerName: 'rows',
      triggerType: 'database',
      config: { url: server.url, tables: ['rows'], batchSize: 25, batchWindowMs: 20, parallelism: 3 },
    });
    await waitFor('the slot', async () => (await slots(client)) === 2, WAIT_MS_MAX);
    const upsert = 'INSERT INTO rows VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET number = $2';
    const writer: Writer = {
      write: async (key, number) => {
        // Transactions of one change and of many.
        if (key === 5) await client.query('BEGIN');
        await client.query(upsert, [key, number]);
        if (key === KEYS - 1) await client.query('COMMIT');
      },
    };
    platform = await loseNothing(collector, writer, platform, () => start(t, dataDir));
    await deleteTrigger(platform, 'collect', 'rows');
    await waitFor('slot and publication to be dropped', async () => (await slots(client)) === 0, WAIT_MS_MAX);
  },
);

test('SQLite: kill -9 in the middle of 2,000 changes loses none and keeps the order of each key', async (t) => {
  const directory = await temporaryDirectory(t);
  const path = join(directory, 'rows.db');
  const database = new DatabaseSync(path, { timeout: WAIT_MS_MAX });
  afterTest(t, () => database.close());
  database.exec('PRAGMA journal_mode = WAL; CREATE TABLE rows (id INTEGER PRIMARY KEY, number INTEGER)');
  const collector = await openCollector(t);
  const dataDir = await temporaryDirectory(t);
  let platform = await start(t, dataDir, directory);
  await createCollecting(platform, collector);
  await createEventTrigger(platform, 'collect', {
    triggerName: 'rows',
    triggerType: 'database',
    config: { url: `sqlite:${path}`, tables: ['rows'], batchSize: 25, batchWindowMs: 20 },
  });
  const installed = (): number =>
    database.prepare("SELECT name FROM sqlite_master WHERE name LIKE '\\_thaw%' ESCAPE '\\'").all().length;
  await waitFor('the file to be followed', () => installed() === 5, WAIT_MS_MAX);
  const upsert = database.prepare(
    'INSERT INTO rows VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET number = ?2',
  );
  const writer: Writer = {
    write: async (key, number) => {
      upsert.run(key, number);
      await new Promise(setImmediate);
    },
  };
  platform = await loseNothing(collector, writer, platform, () => start(t, dataDir, directory));
  await deleteTrigger(platform, 'collect', 'rows');
  await waitFor('the file to be as before', () => installed() === 0, WAIT_MS_MAX);
});

test(
  'PostgreSQL: a wrong password shows, the right one heals, a paused trigger loses nothing',
  { skip },
  async (t) => {
    const { server, client } = await startDatabase(t);
    await client.query(`
    CREATE TABLE rows (id int PRIMARY KEY, number int);
    CREATE ROLE guarded LOGIN SUPERUSER PASSWORD 'right'`);
    const collector = await openCollector(t);
    const platform = await start(t, await temporaryDirectory(t));
    await createCollecting(platform, collector);
    await createEventTrigger(platform, 'collect', {
      triggerName: 'rows',
      triggerType: 'database',
      config: { url: server.urlOf('guarded', 'wrong'), tables: ['rows'], operations: ['update'] },
    });
    const failing = await waitFor(
      'the problem',
      async () => {
        const status = await triggerStatus(platform, 'collect', 'rows');
        return status.problem === undefined ? undefined : status;
      },
      WAIT_MS_MAX,
    );
    assert.equal(failing.status, 'failing');
    assert.equal(failing.problem?.code, 'SOURCE_REFUSED');
    assert.match(failing.problem?.message ?? '', /refuses the password/u);
    assert.doesNotMatch(failing.problem?.message ?? '', /wrong@/u);

    await client.query("ALTER ROLE guarded PASSWORD 'wrong'");
    await waitFor('the slot', async () => (await slots(client)) === 2, WAIT_MS_MAX);
    await client.query('INSERT INTO rows VALUES (1, 1); UPDATE rows SET number = 2; DELETE FROM rows');
    await waitFor('the update', () => collector.distinct().length === 1, WAIT_MS_MAX);
    assert.deepEqual(collector.distinct()[0]?.after, { id: 1, number: 2 });
    const healed = await triggerStatus(platform, 'collect', 'rows');
    assert.deepEqual([healed.status, healed.problem], ['active', undefined]);
  },
);
