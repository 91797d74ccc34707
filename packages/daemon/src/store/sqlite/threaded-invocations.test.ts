import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import type { InvocationRecord } from '../invocation-log.ts';
import { openInvocationDatabase } from './sqlite-database.ts';
import { SqliteInvocations } from './sqlite-invocations.ts';
import { ThreadedInvocations } from './threaded-invocations.ts';

async function temporaryDirectory() {
  const path = await mkdtemp(join(tmpdir(), 'thaw-threaded-'));
  await chmod(path, 0o700);
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

function invocation(n: number): InvocationRecord {
  return {
    requestId: `1-${n}`,
    functionName: 'hello',
    versionId: 'LATEST',
    qualifier: 'LATEST',
    instanceId: 'c-1',
    kind: 'sync',
    trigger: 'api',
    startedAt: 1_000 + n,
    status: 'succeeded',
    coldStart: false,
    timeline: { queued: 0.123, handler: 1.5 },
    billedMs: 2,
    memoryMb: 512,
  };
}

const onFailure = (error: Error): never => {
  throw error;
};

it('gives back at once what was appended, and adds to its timeline', async () => {
  await using directory = await temporaryDirectory();
  const log = new ThreadedInvocations(directory.path, { onFailure });
  for (let n = 0; n < 20; n += 1) {
    log.append([invocation(n), invocation(n + 100)]);
    assert.deepEqual(log.get(`1-${n}`), invocation(n));
  }
  log.amend('1-3', { preFreeze: 7 });
  log.amend('1-never', { preFreeze: 7 });
  await waitFor('the addition', () => log.get('1-3')?.timeline.preFreeze === 7);
  await waitFor('all records in the list', () => log.list({ limit: 100 }).records.length === 40);
  await log.close();
});

it('finds a record that is not written yet, as it was appended last and with what was added', async () => {
  await using directory = await temporaryDirectory();
  const log = new ThreadedInvocations(directory.path, { onFailure });
  // Nobody else may write meanwhile, so the thread waits.
  const other = openInvocationDatabase(directory.path);
  other.exec('BEGIN IMMEDIATE');
  log.append([invocation(1), invocation(2)]);
  log.append([{ ...invocation(1), billedMs: 9 }]);
  log.amend('1-1', { preFreeze: 7 });
  const expected = { ...invocation(1), billedMs: 9, timeline: { queued: 0.123, handler: 1.5, preFreeze: 7 } };
  assert.deepEqual(log.get('1-1'), expected);
  assert.deepEqual(log.get('1-2'), invocation(2));
  assert.deepEqual(log.list({ limit: 10 }).records, []);
  other.exec('COMMIT');
  other.close();
  await waitFor('the list to have both', () => log.list({ limit: 10 }).records.length === 2);
  assert.deepEqual(log.get('1-1'), expected);
  await log.close();
});

it('has written everything when it is closed', async () => {
  await using directory = await temporaryDirectory();
  const log = new ThreadedInvocations(directory.path, { onFailure });
  for (let n = 0; n < 100; n += 1) log.append([invocation(n)]);
  await log.close();
  await log.close();
  const again = new SqliteInvocations(directory.path);
  assert.equal(again.list({ limit: 1_000 }).records.length, 100);
  again.close();
});

it('reports a batch that cannot be written, and goes on', async () => {
  await using directory = await temporaryDirectory();
  const failures: string[] = [];
  const log = new ThreadedInvocations(directory.path, { onFailure: ({ code }) => failures.push(code) });
  log.append([invocation(0)]);
  await waitFor('the first record', () => log.list({ limit: 1 }).records.length === 1);
  const other = openInvocationDatabase(directory.path);
  other.exec('ALTER TABLE invocations RENAME TO moved');
  log.append([invocation(1)]);
  await waitFor('the failure', () => failures.length === 1);
  assert.throws(() => log.get('1-1'), { code: 'STORE_FAILED' });
  other.exec('ALTER TABLE moved RENAME TO invocations');
  other.close();
  log.append([invocation(2)]);
  assert.deepEqual(log.get('1-2'), invocation(2));
  assert.equal(log.get('1-1'), undefined);
  await log.close();
  assert.deepEqual(failures, ['STORE_FAILED']);
});
