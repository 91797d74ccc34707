import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DELIVERY_TRIES_MAX, DeliveryBackoff } from './delivery-backoff.ts';

test('what failed is held for 1, 2, 4, ... seconds, at most 5 minutes, and nothing else is', () => {
  const backoff = new DeliveryBackoff<string>();
  let nowMs = 0;
  const held: number[] = [];
  for (let n = 1; n <= DELIVERY_TRIES_MAX; n += 1) {
    assert.equal(backoff.failed('a', nowMs), n);
    let heldMs = 0;
    while (backoff.isHeld('a', nowMs + heldMs)) heldMs += 1000;
    held.push(heldMs / 1000);
    nowMs += heldMs;
  }
  assert.deepEqual(held, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
  backoff.failed('a', nowMs);
  assert.equal(backoff.isHeld('b', nowMs), false);
  backoff.forget('a');
  assert.equal(backoff.isHeld('a', nowMs), false);
});
