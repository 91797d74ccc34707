import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { ManualClock } from '../../base/clock.ts';
import { DeadlineWheel } from '../../base/deadline-wheel.ts';
import { SqliteQueue } from '../../store/sqlite/sqlite-queue.ts';
import { HandOn } from './hand-on.ts';

test('an outcome is handed on until it is taken, and found again after a restart', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'thaw-hand-on-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const clock = new ManualClock();
  const wheel = new DeadlineWheel(clock);
  const first = await SqliteQueue.open(directory, 0);
  for (const taskId of ['a', 'b']) {
    await first.enqueue({
      functionName: 'f',
      taskId,
      qualifier: 'LATEST',
      requestId: taskId,
      trigger: 'api',
      payload: { bytes: new Uint8Array(0) },
      enqueuedAt: 0,
      dueAt: 0,
    });
  }
  for (const { lease } of (await first.lease('f', 2, 1)).tasks) {
    await first.settle(lease, {
      status: 'Failed',
      tries: 4,
      endedAt: 2,
      instanceId: '',
      versionId: '',
      events: [],
      isToHandOn: true,
    });
  }
  await first.close();

  const queue = await SqliteQueue.open(directory, 3);
  const told: string[] = [];
  const failures: string[] = [];
  const handOn = new HandOn({
    queue,
    wheel,
    outcomes: () => ({
      isAwaited: () => true,
      onSettled: ({ taskId, status }) => {
        told.push(`${taskId} ${status}`);
        if (told.length === 1) return Promise.reject(new Error('nobody is there'));
        return Promise.resolve('Succeeded');
      },
    }),
    onFailed: (error) => failures.push(error.message),
  });
  handOn.notify();
  await waitFor('the first to have failed', () => failures.length === 1);
  await waitFor('both to be taken', async () => {
    clock.advance(2_100);
    wheel.tick();
    return (await queue.toHandOn(0, 5)).length === 0;
  });
  assert.deepEqual(told.toSorted(), ['a Failed', 'a Failed', 'b Failed']);
  assert.equal((await queue.get('f', 'a'))?.destinationStatus, 'Succeeded');
  handOn.stop();
  wheel.close();
  await queue.close();
});
