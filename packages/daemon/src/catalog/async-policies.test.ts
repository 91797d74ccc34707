import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { DEFAULT_ASYNC_POLICY } from '../invocation/async/retry-policy.ts';
import { SqliteRecords } from '../store/sqlite/sqlite-records.ts';
import { AsyncPolicies } from './async-policies.ts';
import { ASYNC_CONFIGS } from './record-kinds.ts';

test('an alias has its own settings, else those of the function, else the defaults', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'thaw-policies-'));
  const records = new SqliteRecords(directory);
  const policies = new AsyncPolicies(records);
  t.after(() => {
    policies.close();
    records.close();
    rmSync(directory, { recursive: true });
  });
  assert.deepEqual(policies.policyOf('f', 'prod'), DEFAULT_ASYNC_POLICY);
  const put = (qualifier: string, settings: object): number =>
    records.put(ASYNC_CONFIGS.key('f', qualifier), { functionName: 'f', qualifier, settings });
  put('LATEST', { maxAsyncRetryAttempts: 0 });
  await waitFor('the change to be heard', () => policies.policyOf('f', 'prod').retriesMax === 0);
  assert.deepEqual(policies.policyOf('f', 'LATEST'), { ...DEFAULT_ASYNC_POLICY, retriesMax: 0 });
  put('prod', { maxAsyncRetryAttempts: 8, maxAsyncEventAgeInSeconds: 60 });
  await waitFor('the change to be heard', () => policies.policyOf('f', 'prod').retriesMax === 8);
  assert.deepEqual(policies.policyOf('f', 'prod'), { retriesMax: 8, ageMsMax: 60_000 });
  assert.equal(policies.policyOf('f', '2').retriesMax, 0);
});
