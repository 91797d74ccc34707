import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { temporaryDirectory } from '@thaw/testkit/platform.ts';
import { openSqliteDatabase } from './sqlite-database.ts';

const MIGRATIONS = ['CREATE TABLE a (x); CREATE INDEX i ON a (x)', 'CREATE TABLE b (x)'];
const ROUNDS = 15;
/** Opens the same file as soon as the gate does. */
const OTHER = `
const { workerData } = require('node:worker_threads');
import(workerData.module).then(({ openSqliteDatabase }) => {
  Atomics.store(workerData.gate, 0, 1);
  Atomics.notify(workerData.gate, 0);
  while (Atomics.load(workerData.gate, 1) === 0);
  openSqliteDatabase(workerData.file, workerData.migrations, 'normal').close();
});`;

test('two threads open a new file at once', async (t) => {
  const directory = await temporaryDirectory(t);
  const module = new URL('sqlite-database.ts', import.meta.url).href;
  for (let round = 0; round < ROUNDS; round += 1) {
    const file = join(directory, `${round}.db`);
    const gate = new Int32Array(new SharedArrayBuffer(8));
    const worker = new Worker(OTHER, {
      eval: true,
      workerData: { module, file, gate, migrations: MIGRATIONS },
    });
    const ended = once(worker, 'exit');
    await Atomics.waitAsync(gate, 0, 0).value;
    Atomics.store(gate, 1, 1);
    openSqliteDatabase(file, MIGRATIONS, 'normal').close();
    assert.deepEqual(await ended, [0]);
  }
});
