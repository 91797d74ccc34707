import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StartGate } from './start-gate.ts';

test('lets so many through at once, keeps so many waiting and refuses the rest', async () => {
  const gate = new StartGate(2, 3);
  let running = 0;
  let runningMax = 0;
  const order: number[] = [];
  const enter = (name: number): Promise<void> =>
    gate.pass(async () => {
      order.push(name);
      runningMax = Math.max(runningMax, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
      if (name === 1) throw new Error('a failure frees its place too');
    });
  const results = await Promise.allSettled([0, 1, 2, 3, 4, 5].map((name) => enter(name)));
  assert.deepEqual(order, [0, 1, 2, 3, 4]);
  assert.equal(runningMax, 2);
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled', 'fulfilled', 'fulfilled', 'rejected'],
  );
  await enter(6);
});
