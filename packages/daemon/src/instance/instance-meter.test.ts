import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { ManualClock } from '../base/clock.ts';
import { computeUnits, mbMicroseconds, microseconds } from '../model/usage.ts';
import { InstanceMeter, type MeteredInterval } from './instance-meter.ts';

function metered(startMs = 0) {
  const clock = new ManualClock(startMs);
  const intervals: MeteredInterval[] = [];
  return { clock, intervals, meter: new InstanceMeter(clock, (interval) => intervals.push(interval)) };
}

function billedUs(intervals: readonly MeteredInterval[]): number {
  return intervals.reduce((sum, { startMs, endMs }) => sum + microseconds(endMs) - microseconds(startMs), 0);
}

test("the billing document's example: two requests and a pre-freeze from t1 to t6 on 1 GB are 1 CU", () => {
  const { clock, intervals, meter } = metered(Date.UTC(2026, 0, 1));
  const [t1, t2, t3, t4, t5, t6] = [0, 200, 450, 700, 701, 1000].map((ms) => ms + clock.now());
  assert.ok(t1 && t2 && t3 && t4 && t5 && t6);
  clock.advance(1000);
  meter.begin(t1, 'request');
  meter.begin(t2, 'request');
  meter.end(t3);
  meter.begin(t4, 'hook');
  meter.end(t5);
  meter.end(t6);
  assert.deepEqual(intervals, [{ startMs: t1, endMs: t6, requests: 2 }]);
  assert.equal(computeUnits(mbMicroseconds(billedUs(intervals), 1024)), 1);
});

test('pauses are not billed, and what ran when the processes went ends with them', () => {
  const { clock, intervals, meter } = metered();
  clock.advance(100);
  meter.begin(0, 'request');
  meter.end(10);
  meter.begin(30, 'hook');
  meter.begin(40, 'request');
  meter.stop(50);
  meter.end(60);
  meter.stop(70);
  assert.deepEqual(intervals, [
    { startMs: 0, endMs: 10, requests: 1 },
    { startMs: 30, endMs: 50, requests: 1 },
  ]);
  assert.throws(() => meter.begin(80, 'request'), /gone/);
});

test('the wall clock may jump: the duration is the monotonic one', () => {
  let wallMs = 1_000_000;
  let monotonicMs = 5;
  const intervals: MeteredInterval[] = [];
  const clock = { now: () => wallMs, monotonicMs: () => monotonicMs };
  const meter = new InstanceMeter(clock, (interval) => intervals.push(interval));
  meter.begin(5, 'request');
  wallMs -= 999_000;
  monotonicMs = 12.345;
  meter.end(12.345);
  assert.equal(billedUs(intervals), 7_345);
});

/** Pieces of work with whole microseconds, as [start, length]. */
const works = fc.array(fc.tuple(fc.nat(2_000_000), fc.nat(300_000)), { minLength: 1, maxLength: 30 });
const cuts = fc.array(fc.nat(2_300_000), { maxLength: 10 });

test('over random overlaps and cuts the intervals sum to the union, never bill a moment twice, and CU add up', () => {
  fc.assert(
    fc.property(works, cuts, fc.integer({ min: 1, max: 512 }), (pieces, cutTimes, memoryUnits) => {
      const { clock, intervals, meter } = metered();
      // At one moment ends come first, so that work which touches makes two intervals that do not overlap.
      const moments = [
        ...pieces.flatMap(([start, length]) => [
          { atUs: start, order: 1, act: (ms: number) => meter.begin(ms, 'request') },
          { atUs: start + length, order: length === 0 ? 2 : 0, act: (ms: number) => meter.end(ms) },
        ]),
        ...cutTimes.map((atUs) => ({ atUs, order: 3, act: (ms: number) => meter.cut(ms) })),
      ].toSorted((a, b) => a.atUs - b.atUs || a.order - b.order);
      for (const { atUs, act } of moments) {
        clock.advance(atUs / 1000 - clock.now());
        act(atUs / 1000);
      }
      assert.equal(meter.isRunning, false);
      assert.equal(billedUs(intervals), measureOfUnion(pieces));
      for (const [index, interval] of intervals.entries()) {
        assert.ok(interval.endMs >= interval.startMs);
        assert.ok(index === 0 || interval.startMs >= (intervals[index - 1]?.endMs ?? 0));
      }
      const requests = intervals.reduce((sum, interval) => sum + interval.requests, 0);
      assert.equal(requests, pieces.length);
      const memoryMb = memoryUnits * 64;
      const parts = intervals.map((part) => mbMicroseconds(billedUs([part]), memoryMb));
      assert.equal(
        computeUnits(parts.reduce((sum, mbUs) => sum + mbUs, 0)),
        computeUnits(mbMicroseconds(measureOfUnion(pieces), memoryMb)),
      );
    }),
  );
});

function measureOfUnion(pieces: readonly (readonly [start: number, length: number])[]): number {
  let measure = 0;
  let reached = 0;
  for (const [start, length] of pieces.toSorted((a, b) => a[0] - b[0])) {
    const end = start + length;
    measure += Math.max(0, end - Math.max(start, reached));
    reached = Math.max(reached, end);
  }
  return measure;
}
