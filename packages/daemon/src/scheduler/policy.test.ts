import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  functionRoom,
  instancesToStart,
  provisionRetryMs,
  waitersToFail,
  type PoolCounts,
} from './policy.ts';

const quiet: PoolCounts = {
  waiting: 0,
  freeSlots: 0,
  startingInstances: 0,
  lastingInstances: 0,
  provisioned: 0,
  room: 100,
  slotsPerInstance: 1,
};

test('one start for each waiter that nothing covers', () => {
  assert.equal(instancesToStart({ ...quiet, waiting: 1 }), 1);
  assert.equal(instancesToStart({ ...quiet, waiting: 3, startingInstances: 1 }), 2);
  assert.equal(instancesToStart({ ...quiet, waiting: 2, startingInstances: 2 }), 0);
  assert.equal(instancesToStart({ ...quiet, waiting: 10, slotsPerInstance: 4 }), 3);
});

test('provisioned instances are started ahead, and serve waiters like any other', () => {
  assert.equal(instancesToStart({ ...quiet, provisioned: 3 }), 3);
  assert.equal(instancesToStart({ ...quiet, provisioned: 3, lastingInstances: 2 }), 1);
  assert.equal(instancesToStart({ ...quiet, provisioned: 3, waiting: 2 }), 3);
  assert.equal(instancesToStart({ ...quiet, provisioned: 3, waiting: 5 }), 5);
});

test('never more than there is room for, in a burst of any size', () => {
  const counts = fc.record({
    waiting: fc.nat(2000),
    freeSlots: fc.nat(50),
    startingInstances: fc.nat(50),
    lastingInstances: fc.nat(120),
    provisioned: fc.nat(20),
    room: fc.nat(100),
    slotsPerInstance: fc.integer({ min: 1, max: 100 }),
  });
  fc.assert(
    fc.property(counts, (now) => {
      const starts = instancesToStart(now);
      assert.ok(starts >= 0 && starts <= now.room);
      // What is started is needed: one fewer would leave a waiter uncovered or a provisioned one out.
      if (starts > 0) {
        const covered = now.freeSlots + (now.startingInstances + starts - 1) * now.slotsPerInstance;
        assert.ok(covered < now.waiting || now.lastingInstances + starts <= now.provisioned);
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

test('room is what the tightest limit leaves; reserved concurrency bounds slots', () => {
  const now = {
    functionInstances: 3,
    functionInstancesMax: 50,
    versionInstances: 2,
    versionInstancesMax: undefined,
    functionSlots: 12,
    reserved: undefined,
    slotsPerInstance: 4,
  };
  assert.equal(functionRoom(now), 47);
  assert.equal(functionRoom({ ...now, versionInstancesMax: 6 }), 4);
  assert.equal(functionRoom({ ...now, reserved: 20 }), 2);
  assert.equal(functionRoom({ ...now, reserved: 21 }), 3);
  assert.equal(functionRoom({ ...now, reserved: 5 }), 0);
});

test('a provisioned instance that keeps failing is tried ever less often', () => {
  assert.deepEqual(
    [1, 2, 3, 6, 7, 1000].map(provisionRetryMs),
    [1_000, 2_000, 4_000, 32_000, 60_000, 60_000],
  );
});
