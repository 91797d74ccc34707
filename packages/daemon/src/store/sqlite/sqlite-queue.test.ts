import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { diskProblem } from '../../base/disk-problem.ts';
import { crashTask } from '../crash-writers.ts';
import { testQueueContract } from '../queue-contract.ts';
import { SqliteQueue } from './sqlite-queue.ts';

const writer = fileURLToPath(new URL('sqlite-queue-writer.ts', import.meta.url));

async function temporaryDirectory() {
  const path = await mkdtemp(join(tmpdir(), 'thaw-queue-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

testQueueContract('SqliteQueue', async () => {
  const directory = await temporaryDirectory();
  return {
    open: (options = {}) => SqliteQueue.open(directory.path, 0, options),
    writer: (first) => [writer, directory.path, String(first)],
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
});

test('10: a full disk refuses what it cannot hold, and takes what it can', async () => {
  await using directory = await temporaryDirectory();
  const queue = await SqliteQueue.open(directory.path, 0, { fileBytesMax: 1024 * 1024 });
  const large = { bytes: new Uint8Array(60_000) };
  const answers = await Promise.allSettled(
    Array.from({ length: 40 }, (_, n) => queue.enqueue({ ...crashTask(n), payload: large })),
  );
  const accepted = answers.filter(({ status }) => status === 'fulfilled').length;
  assert.ok(accepted > 0 && accepted < 40, `${accepted} were accepted`);
  for (const answer of answers) {
    if (answer.status === 'fulfilled') continue;
    assert.ok(answer.reason instanceof ThawError);
    assert.equal(answer.reason.code, 'STORE_FAILED');
    assert.equal(diskProblem(answer.reason), "the platform's disk is full");
  }
  assert.equal((await queue.counts()).waiting, accepted);
  assert.equal((await queue.lease('crash', 100, 10)).tasks.length, accepted);
  await queue.close();
});

test('a file that is no database is refused', async () => {
  await using directory = await temporaryDirectory();
  await writeFile(join(directory.path, 'queue.db'), 'x'.repeat(10_000));
  await assert.rejects(
    SqliteQueue.open(directory.path, 0),
    (error) => error instanceof ThawError && error.code === 'STORE_FAILED',
  );
});
