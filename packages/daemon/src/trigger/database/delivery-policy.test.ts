import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { assert as holds, array, integer, property } from 'fast-check';
import { batchesOf, halvesOf, mayBePoison, nextRound, retriesOf, retryPauseMs } from './delivery-policy.ts';

const change = (bytes: number, isKeyChange = false): { bytes: number; isKeyChange: boolean } => ({
  bytes,
  isKeyChange,
});

test('a round holds what its batches take, but no more bytes than an event may have', () => {
  const limits = { batchSize: 2, parallelism: 1, bytesMax: 100 };
  assert.deepEqual(nextRound([], limits), { changes: 0, isFull: false });
  assert.deepEqual(nextRound([change(1)], limits), { changes: 1, isFull: false });
  assert.deepEqual(nextRound([change(1), change(1), change(1)], limits), { changes: 2, isFull: true });
  assert.deepEqual(nextRound([change(60), change(60)], limits), { changes: 1, isFull: true });
  assert.deepEqual(nextRound([change(500), change(1)], limits), { changes: 1, isFull: true });
  assert.deepEqual(nextRound([change(500)], limits), { changes: 1, isFull: true });
});

test('a change of a key goes alone where several batches run at once, and only there', () => {
  const waiting = [change(1), change(1, true), change(1)];
  const limits = { batchSize: 10, parallelism: 2, bytesMax: 100 };
  assert.deepEqual(nextRound(waiting, limits), { changes: 1, isFull: true });
  assert.deepEqual(nextRound(waiting.slice(1), limits), { changes: 1, isFull: true });
  assert.deepEqual(nextRound(waiting, { ...limits, parallelism: 1 }), { changes: 3, isFull: false });
});

test('however changes are spread over batches, none is lost and each key keeps its order in one lane', () => {
  holds(
    property(
      array(integer({ min: 0, max: 9 }), { maxLength: 200 }),
      integer({ min: 1, max: 20 }),
      integer({ min: 1, max: 8 }),
      (keys, batchSize, parallelism) => {
        const changes = keys.map((key, number) => ({ orderKey: String(key), number }));
        const lanes = batchesOf(changes, { batchSize, parallelism, bytesMax: 1 });
        assert.ok(lanes.length <= parallelism);
        const spread = lanes.flat(2);
        assert.deepEqual(
          spread.map(({ number }) => number).toSorted((a, b) => a - b),
          changes.map(({ number }) => number),
        );
        for (const lane of lanes) {
          for (const batch of lane) assert.ok(batch.length <= batchSize);
          const numbers = lane.flat().map(({ number }) => number);
          assert.deepEqual(
            numbers,
            numbers.toSorted((a, b) => a - b),
          );
        }
        for (const key of new Set(keys)) {
          const holding = lanes.filter((lane) =>
            lane.flat().some(({ orderKey }) => orderKey === String(key)),
          );
          assert.equal(holding.length, 1);
        }
      },
    ),
  );
});

test('halves are in order, and a single change has none', () => {
  assert.deepEqual(halvesOf([1, 2, 3]), [[1, 2], [3]]);
  assert.equal(halvesOf([1]), undefined);
});

test('only what may lie in the batch counts against it', () => {
  assert.equal(mayBePoison(new ThawError('HANDLER_THREW', '')), true);
  assert.equal(mayBePoison(new ThawError('FUNCTION_OUT_OF_MEMORY', '')), true);
  assert.equal(mayBePoison(new ThawError('PAYLOAD_TOO_LARGE', '')), true);
  assert.equal(mayBePoison(new ThawError('THROTTLED', '')), false);
  assert.equal(mayBePoison(new ThawError('FUNCTION_NOT_FOUND', '')), false);
  assert.equal(mayBePoison(new ThawError('SANDBOX_FAILED', '')), false);
});

test('retries: as configured for a batch, one for its parts, without end where that is asked for', () => {
  assert.equal(retriesOf(false, 5), 5);
  assert.equal(retriesOf(true, 5), 1);
  assert.equal(retriesOf(true, 0), 0);
  assert.equal(retriesOf(true, -1), Infinity);
});

test('pauses double up to a bound', () => {
  assert.equal(retryPauseMs(1, 1), 250);
  assert.equal(retryPauseMs(3, 1), 1000);
  assert.equal(retryPauseMs(1000, 1), 30_000);
  assert.equal(retryPauseMs(1000, 0), 22_500);
});
