import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sampleTask } from '../../model/sample-task.ts';
import { outcomeHandlers } from './outcome-handlers.ts';
import type { OutcomeHandler } from './task-outcome.ts';

const TASK = sampleTask();

/** Says these one after the other, and keeps count of how often it was asked. */
function saying(...statuses: (string | undefined)[]): OutcomeHandler & { asked: number } {
  const handler = {
    asked: 0,
    isAwaited: () => statuses.length > 0,
    onSettled: () => {
      const status = statuses[handler.asked];
      handler.asked += 1;
      return Promise.resolve(status);
    },
  };
  return handler;
}

test('an outcome is handed on when each has taken it, and none is told twice', async () => {
  const [quick, slow] = [saying('Succeeded'), saying(undefined, undefined, '')];
  const both = outcomeHandlers([quick, slow]);
  assert.equal(both.isAwaited(TASK, 'Succeeded'), true);
  assert.equal(await both.onSettled(TASK), undefined);
  assert.equal(await both.onSettled(TASK), undefined);
  assert.equal(await both.onSettled(TASK), 'Succeeded');
  assert.deepEqual([quick.asked, slow.asked], [1, 3]);
});

test('a failure of one is what is told', async () => {
  assert.equal(
    await outcomeHandlers([saying('Succeeded'), saying('Failed: no')]).onSettled(TASK),
    'Failed: no',
  );
  assert.equal(await outcomeHandlers([saying(''), saying('')]).onSettled(TASK), '');
  assert.equal(outcomeHandlers([saying(), saying()]).isAwaited(TASK, 'Succeeded'), false);
});
