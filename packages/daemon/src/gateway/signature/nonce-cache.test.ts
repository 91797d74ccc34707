import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../base/clock.ts';
import { NonceCache } from './nonce-cache.ts';

const SKEW_MS = 1000;

test('a nonce can be used once for as long as a request may live', () => {
  const clock = new ManualClock(50_000);
  const cache = new NonceCache(clock, SKEW_MS);
  assert.equal(cache.use('a'), true);
  for (const step of [0, 1999, 1]) {
    clock.advance(step);
    assert.equal(cache.use('a'), false, `after ${step} ms more`);
  }
  clock.advance(2 * SKEW_MS);
  assert.equal(cache.use('b'), true);
  clock.advance(2 * SKEW_MS);
  assert.equal(cache.use('a'), true, 'long after any request with it has expired');
});

test('where nonces had to be forgotten, the allowed skew shrinks to what is still remembered', () => {
  const clock = new ManualClock(50_000);
  const cache = new NonceCache(clock, SKEW_MS, 2);
  for (const nonce of ['a', 'b', 'c', 'd']) {
    assert.equal(cache.use(nonce), true);
    clock.advance(10);
  }
  assert.equal(cache.skewAllowedMs(), SKEW_MS, 'nothing is forgotten yet');
  assert.equal(cache.use('e'), true);
  // Remembered since `c` was used 20 ms ago.
  assert.equal(cache.skewAllowedMs(), 10);
  assert.equal(cache.use('c'), false);
  clock.advance(2 * SKEW_MS);
  assert.equal(cache.skewAllowedMs(), SKEW_MS, 'a whole lifetime is remembered again');
});
