import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { afterTest } from '@thaw/testkit/after-test.ts';
import { makeLocalPostgres, postgresPrograms, type LocalPostgres } from '@thaw/testkit/local-postgres.ts';
import { temporaryDirectory } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { Client } from 'pg';
import { openCollector } from './support/change-collector.ts';
import { createEventTrigger, deleteTrigger, triggerStatus } from './support/event-triggers.ts';
import {
  createCollecting,
  KEYS,
  loseNothing,
  startForCollector,
  WAIT_MS_MAX,
  type Writer,
} from './support/lose-nothing.ts';
import { signedCall } from './support/signed-call.ts';

const bin = await postgresPrograms();
const skip = bin === undefined ? 'not installed: postgresql' : false;

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
    let platform = await startForCollector(t, dataDir);
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
    platform = await loseNothing(collector, writer, platform, () => startForCollector(t, dataDir));
    await deleteTrigger(platform, 'collect', 'rows');
    await waitFor('slot and publication to be dropped', async () => (await slots(client)) === 0, WAIT_MS_MAX);
  },
);

test(
  'PostgreSQL: a wrong password shows, the right one heals, a paused trigger loses nothing',
  { skip },
  async (t) => {
    const { server, client } = await startDatabase(t);
    await client.query(`
    CREATE TABLE rows (id int PRIMARY KEY, number int);
    CREATE ROLE guarded LOGIN SUPERUSER PASSWORD 'right'`);
    const collector = await openCollector(t);
    const platform = await startForCollector(t, await temporaryDirectory(t));
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
    const act = (what: string): Promise<unknown> =>
      signedCall(platform, { method: 'POST', path: `/thaw/v1/functions/collect/triggers/rows/${what}` });
    await act('pause');
    await client.query('INSERT INTO rows VALUES (2, 1); UPDATE rows SET number = 3');
    await act('resume');
    await waitFor('the second update', () => collector.distinct().length === 2, WAIT_MS_MAX);
    const healed = await triggerStatus(platform, 'collect', 'rows');
    assert.deepEqual([healed.status, healed.problem], ['active', undefined]);
  },
);
