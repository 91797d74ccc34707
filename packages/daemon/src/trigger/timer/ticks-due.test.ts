import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CatchUp } from '@thaw/protocol/fc/triggers/timer.ts';
import * as fc from 'fast-check';
import { CATCH_UP_TICKS_MAX, LATE_MS_MAX, ticksDue } from './ticks-due.ts';
import { parseTimerSchedule } from './timer-schedule.ts';

const EACH_10_S = parseTimerSchedule({ cronExpression: '*/10 * * * * *', timezone: '' });
const BASE = Date.parse('2026-11-21T00:00:00Z');

function due(catchUp: CatchUp, lastS: number, nowS: number, lateMsMax: number): [number[], number] {
  const moment = { schedule: EACH_10_S, catchUp, lastMs: BASE + lastS * 1000, nowMs: BASE + nowS * 1000 };
  const { ticks, lastMs } = ticksDue({ ...moment, lateMsMax });
  return [ticks.map((ms) => (ms - BASE) / 1000), (lastMs - BASE) / 1000];
}

test('nothing is due before its time, and each time once', () => {
  assert.deepEqual(due('last', 0, 9, 0), [[], 0]);
  assert.deepEqual(due('last', 0, 10, 0), [[10], 10]);
  assert.deepEqual(due('last', 10, 19.9, 0), [[], 10]);
});

test('after downtime: nothing, the last time, or all', () => {
  assert.deepEqual(due('none', 0, 45, 0), [[], 40]);
  assert.deepEqual(due('last', 0, 45, 0), [[40], 40]);
  assert.deepEqual(due('all', 0, 45, 0), [[10, 20, 30, 40], 40]);
  assert.deepEqual(due('none', 0, 40, 0), [[40], 40], 'what is due at this very moment was not missed');
});

test('all is bounded to the last ones', () => {
  const [ticks, last] = due('all', 0, 86_400, 0);
  assert.equal(ticks.length, CATCH_UP_TICKS_MAX + 1);
  assert.equal(ticks.at(-1), 86_400);
  assert.equal(last, 86_400);
});

test('a platform that was busy makes up for every late time, whatever the policy', () => {
  for (const catchUp of ['none', 'last', 'all'] as const) {
    assert.deepEqual(due(catchUp, 0, 45, LATE_MS_MAX), [[10, 20, 30, 40], 40], catchUp);
  }
  // The clock was set forward: what lies further back was missed.
  assert.deepEqual(due('none', 0, 3600, LATE_MS_MAX)[0], [3540, 3550, 3560, 3570, 3580, 3590, 3600]);
});

test('a clock that was set back does not silence a timer until it has caught up', () => {
  assert.deepEqual(due('last', 86_400, 5, 0), [[], 5]);
  assert.deepEqual(due('last', 30, 5, LATE_MS_MAX), [[], 30], 'a small step runs no time twice');
});

test('whatever the moments at which it is looked, no time comes twice and none goes lost while the platform runs', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 50_000 }), { maxLength: 30 }), (steps) => {
      let lastMs = BASE;
      let nowMs = BASE;
      const ticks: number[] = [];
      for (const step of steps) {
        nowMs += step;
        const found = ticksDue({
          schedule: EACH_10_S,
          catchUp: 'none',
          lastMs,
          nowMs,
          lateMsMax: LATE_MS_MAX,
        });
        ticks.push(...found.ticks);
        lastMs = found.lastMs;
      }
      const wanted = Math.floor((nowMs - BASE) / 10_000);
      assert.deepEqual(
        ticks,
        Array.from({ length: wanted }, (_, index) => BASE + (index + 1) * 10_000),
      );
    }),
  );
});
