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

test('3: a lease in a commit that fails is as if it had never been', async () => {
  await using directory = await temporaryDirectory();
  const queue = await SqliteQueue.open(directory.path, 0, { fileBytesMax: 512 * 1024 });
  const small = Array.from({ length: 4 }, (_, n) => queue.enqueue(crashTask(n)));
  await Promise.all(small);
  const large = { bytes: new Uint8Array(60_000) };
  const first = queue.lease('crash', 1, 100);
  const settled = first.then(({ tasks: [task] }) => {
    assert.ok(task !== undefined);
    const ended = { status: 'Succeeded', tries: 0, endedAt: 1, instanceId: '', versionId: '' } as const;
    return queue.settle(task.lease, { ...ended, events: [], isToHandOn: false });
  });
  // One turn, one commit: what cannot be held undoes it, and each call gets one of its own.
  const full = Array.from({ length: 20 }, (_, n) => queue.enqueue({ ...crashTask(100 + n), payload: large }));
  const second = queue.lease('crash', 2, 100);
  const answers = await Promise.allSettled(full);
  assert.ok(answers.some(({ status }) => status === 'rejected'));
  assert.equal(await settled, true);
  const ids = [...(await first).tasks, ...(await second).tasks].map(({ task }) => task.taskId);
  assert.deepEqual(ids, ['0', '1', '2']);
  const { waiting, leased } = await queue.counts();
  const accepted = answers.filter(({ status }) => status === 'fulfilled').length;
  assert.deepEqual([waiting, leased], [1 + accepted, 2]);
  assert.equal((await queue.lease('crash', 100, 100)).tasks.length, 1 + accepted);
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
