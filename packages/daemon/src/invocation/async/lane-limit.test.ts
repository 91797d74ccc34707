import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LANE_LIMIT_MAX, LANE_LIMIT_MIN, nextLaneLimit } from './lane-limit.ts';

test('grows while it is used up and processors idle', () => {
  assert.equal(nextLaneLimit({ limit: 4, wasFull: true, idleShare: 0.5 }), 8);
  assert.equal(nextLaneLimit({ limit: 4, wasFull: false, idleShare: 0.9 }), 4);
  assert.equal(nextLaneLimit({ limit: LANE_LIMIT_MAX, wasFull: true, idleShare: 1 }), LANE_LIMIT_MAX);
});

test('stays where processors are busy, and shrinks where nothing is left of them', () => {
  assert.equal(nextLaneLimit({ limit: 8, wasFull: true, idleShare: 0.1 }), 8);
  assert.equal(nextLaneLimit({ limit: 8, wasFull: true, idleShare: 0.01 }), 6);
  assert.equal(nextLaneLimit({ limit: LANE_LIMIT_MIN, wasFull: true, idleShare: 0 }), LANE_LIMIT_MIN);
});
