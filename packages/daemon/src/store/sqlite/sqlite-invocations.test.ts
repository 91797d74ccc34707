import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { InvocationLog, InvocationRecord } from '../invocation-log.ts';
import { SqliteInvocations } from './sqlite-invocations.ts';

async function temporaryDirectory() {
  const path = await mkdtemp(join(tmpdir(), 'thaw-invocations-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

function invocation(n: number, change: Partial<InvocationRecord> = {}): InvocationRecord {
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
    ...change,
  };
}

function pages(log: InvocationLog, limit: number, functionName?: string): string[][] {
  const result: string[][] = [];
  let before: string | undefined;
  do {
    const page = log.list({
      limit,
      ...(functionName === undefined ? {} : { functionName }),
      ...(before === undefined ? {} : { before }),
    });
    result.push(page.records.map((record) => record.requestId));
    before = page.next;
  } while (before !== undefined);
  return result;
}

it('1: gives back every field as it was appended, also after opening again; the last one of an id counts', async () => {
  await using directory = await temporaryDirectory();
  const plain = invocation(1);
  const full = invocation(2, {
    kind: 'async',
    trigger: 'http',
    status: 'failed',
    errorCode: 'HANDLER_THREW',
    errorType: 'TypeError',
    coldStart: true,
    memoryPeakMb: 34.5,
    statusCode: 502,
  });
  const log = new SqliteInvocations(directory.path);
  log.append([]);
  log.append([plain, invocation(2), full]);
  log.close();
  const again = new SqliteInvocations(directory.path);
  assert.deepEqual(again.get('1-1'), plain);
  assert.deepEqual(again.get('1-2'), full);
  assert.equal(again.get('1-3'), undefined);
  again.close();
});

it('2: lists newest first in pages, by function or all, undisturbed by new ones', async () => {
  await using directory = await temporaryDirectory();
  const log = new SqliteInvocations(directory.path);
  // Two that started in the same millisecond, and one that ended late and so was appended late.
  log.append([2, 3, 5].map((n) => invocation(n)));
  log.append([invocation(4, { startedAt: 1_003 }), invocation(1), invocation(9, { functionName: 'other' })]);
  assert.deepEqual(pages(log, 2), [
    ['1-9', '1-5'],
    ['1-4', '1-3'],
    ['1-2', '1-1'],
  ]);
  assert.deepEqual(pages(log, 2, 'hello'), [['1-5', '1-4'], ['1-3', '1-2'], ['1-1']]);
  assert.deepEqual(pages(log, 3, 'nothing'), [[]]);

  const first = log.list({ functionName: 'hello', limit: 2 });
  log.append([invocation(7)]);
  const second = log.list({ functionName: 'hello', limit: 2, before: first.next ?? '' });
  assert.deepEqual(
    second.records.map((record) => record.requestId),
    ['1-3', '1-2'],
  );
  for (const before of ['x', '1', '1.', "1.1'; DROP TABLE invocations", '']) {
    assert.throws(
      () => log.list({ limit: 1, before }),
      (error) => error instanceof ThawError && error.code === 'INVALID_ARGUMENT',
    );
  }
  log.close();
});

it('3: keeps at most recordsMax, and comes down to a lowered bound in steps', async () => {
  await using directory = await temporaryDirectory();
  const log = new SqliteInvocations(directory.path, { recordsMax: 1_000 });
  for (let batch = 0; batch < 30; batch += 1) {
    log.append(Array.from({ length: 100 }, (_, n) => invocation(batch * 100 + n)));
  }
  assert.equal(pages(log, 1_000).flat().length, 1_000);
  log.close();
  const lowered = new SqliteInvocations(directory.path, { recordsMax: 100 });
  lowered.append([invocation(5_000)]);
  assert.equal(pages(lowered, 1_000).flat().length, 1_001 - 257);
  for (let n = 1; n < 10; n += 1) lowered.append([invocation(5_000 + n)]);
  const kept = pages(lowered, 1_000).flat();
  assert.equal(kept.length, 100);
  assert.equal(kept[0], '1-5009');
  lowered.close();
});
