import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { instancesToStart, waitersToFail, type PoolCounts } from './policy.ts';

const quiet: PoolCounts = {
  waiting: 0,
  freeSlots: 0,
  startingInstances: 0,
  instances: 0,
  instancesMax: 100,
  slotsPerInstance: 1,
};

test('one start for each waiter that nothing covers', () => {
  assert.equal(instancesToStart({ ...quiet, waiting: 1 }), 1);
  assert.equal(instancesToStart({ ...quiet, waiting: 3, startingInstances: 1, instances: 1 }), 2);
  assert.equal(instancesToStart({ ...quiet, waiting: 2, startingInstances: 2, instances: 2 }), 0);
  assert.equal(instancesToStart({ ...quiet, waiting: 10, slotsPerInstance: 4 }), 3);
});

test('never more than the limit, in a burst of any size', () => {
  const counts = fc.record({
    waiting: fc.nat(2000),
    freeSlots: fc.nat(50),
    startingInstances: fc.nat(50),
    instances: fc.nat(120),
    instancesMax: fc.integer({ min: 1, max: 100 }),
    slotsPerInstance: fc.integer({ min: 1, max: 100 }),
  });
  fc.assert(
    fc.property(counts, (now) => {
      const starts = instancesToStart(now);
      assert.ok(starts >= 0);
      assert.ok(starts === 0 || now.instances + starts <= now.instancesMax);
      // What is started is needed: one fewer would leave a waiter uncovered.
      if (starts > 0) {
        const covered = now.freeSlots + (now.startingInstances + starts - 1) * now.slotsPerInstance;
        assert.ok(covered < now.waiting);
      }
    }),
  );
});

test('a failed start fails the waiters that it alone covered', () => {
  assert.equal(waitersToFail({ ...quiet, waiting: 1 }), 1);
  assert.equal(waitersToFail({ ...quiet, waiting: 2, startingInstances: 1 }), 1);
  assert.equal(waitersToFail({ ...quiet, waiting: 2, startingInstances: 2 }), 0);
  assert.equal(waitersToFail({ ...quiet, waiting: 9, slotsPerInstance: 4 }), 4);
});
