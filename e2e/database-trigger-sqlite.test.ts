import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { afterTest } from '@thaw/testkit/after-test.ts';
import { temporaryDirectory } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { openCollector } from './support/change-collector.ts';
import { createEventTrigger, deleteTrigger } from './support/event-triggers.ts';
import {
  createCollecting,
  loseNothing,
  startForCollector,
  WAIT_MS_MAX,
  type Writer,
} from './support/lose-nothing.ts';

test('SQLite: kill -9 in the middle of 2,000 changes loses none and keeps the order of each key', async (t) => {
  const directory = await temporaryDirectory(t);
  const path = join(directory, 'rows.db');
  const database = new DatabaseSync(path, { timeout: WAIT_MS_MAX });
  afterTest(t, () => database.close());
  database.exec('PRAGMA journal_mode = WAL; CREATE TABLE rows (id INTEGER PRIMARY KEY, number INTEGER)');
  const collector = await openCollector(t);
  const dataDir = await temporaryDirectory(t);
  let platform = await startForCollector(t, dataDir, directory);
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
  platform = await loseNothing(collector, writer, platform, () => startForCollector(t, dataDir, directory));
  await deleteTrigger(platform, 'collect', 'rows');
  await waitFor('the file to be as before', () => installed() === 0, WAIT_MS_MAX);
});
