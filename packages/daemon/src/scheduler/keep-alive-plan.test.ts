import assert from 'node:assert/strict';
import { test } from 'node:test';
import { array, assert as holds, integer, property } from 'fast-check';
import { BIN_MS, BINS, IdleHistogram } from './idle-histogram.ts';
import { keepAlivePlan, plannedStopMs } from './keep-alive-plan.ts';
import { Simulation, simulatedFunction } from './simulation.ts';

const MINUTE = 60_000;

function histogramOf(minutes: readonly number[]): IdleHistogram {
  const histogram = new IdleHistogram();
  for (const each of minutes) histogram.add(each * MINUTE);
  return histogram;
}

test('idle times are counted by the minute, and old ones fade where a bin is full', () => {
  const histogram = histogramOf([0.5, 0.9, 3, 10_000]);
  assert.deepEqual([histogram.at(0), histogram.at(3), histogram.count], [2, 1, 4]);
  for (let count = 0; count < 0x1_0010; count += 1) histogram.add(0);
  assert.equal(histogram.at(3), 0);
  assert.ok(histogram.at(0) > 0x7fff && histogram.count >= histogram.at(0));
});

test('too few idle times suggest nothing', () => {
  assert.equal(keepAlivePlan(histogramOf([5, 5, 5]), 512), undefined);
});

test('what is called every hour is stopped and started again just before', () => {
  const plan = keepAlivePlan(histogramOf(Array.from({ length: 20 }, () => 60.2)), 512);
  assert.deepEqual(plan, { prewarmMs: 60 * MINUTE - 30_000, keepMs: 61 * MINUTE + 30_000 });
});

test('what is called every few seconds is kept for little more than that', () => {
  const plan = keepAlivePlan(histogramOf(Array.from({ length: 100 }, () => 0.1)), 512);
  assert.equal(plan?.prewarmMs, 0);
  assert.ok(plan.keepMs <= 2 * MINUTE);
});

test('what comes at any time is kept the longer the less memory it holds', () => {
  const histogram = histogramOf(Array.from({ length: 60 }, (_, index) => index));
  const keepMs = (memoryMb: number): number => keepAlivePlan(histogram, memoryMb)?.keepMs ?? NaN;
  assert.ok(keepMs(128) >= 59 * MINUTE);
  assert.ok(keepMs(2048) > 0 && keepMs(2048) <= keepMs(512) && keepMs(512) <= keepMs(128));
  assert.equal(keepMs(30_000), MINUTE);
});

test('a plan never costs more than the one of any other window, nor leaves its bounds', () => {
  holds(
    property(
      array(integer({ min: 0, max: 300 }), { minLength: 4, maxLength: 60 }),
      integer({ min: 64, max: 4096 }),
      (minutes, memoryMb) => {
        const plan = keepAlivePlan(histogramOf(minutes), memoryMb);
        assert.ok(plan !== undefined);
        assert.ok(plan.prewarmMs === 0 || plan.prewarmMs >= 2.5 * MINUTE);
        assert.ok(plan.keepMs >= MINUTE && plan.keepMs <= (BINS + 1) * BIN_MS);
        assert.ok(plan.prewarmMs < plan.keepMs);
      },
    ),
  );
});

test('an instance rests until its plan stops it, before and after it was started again', () => {
  const stays = { prewarmMs: 0, keepMs: 10 * MINUTE };
  assert.equal(plannedStopMs(stays, 1000, 1000), 1000 + 10 * MINUTE);
  const returns = { prewarmMs: 50 * MINUTE, keepMs: 70 * MINUTE };
  assert.equal(plannedStopMs(returns, 1000, 1000), 11_000);
  assert.equal(plannedStopMs(returns, 1000, 1000 + 50 * MINUTE), 1000 + 70 * MINUTE);
});

/** One call that takes no time. */
function call(simulation: Simulation, runnable: ReturnType<typeof simulatedFunction>): 'warm' | 'cold' {
  const request = simulation.request(runnable);
  const outcome = request.isRunning ? 'warm' : 'cold';
  simulation.settle();
  assert.ok(request.instance !== undefined);
  request.instance.release();
  simulation.settle();
  return outcome;
}

function everyHour(
  simulation: Simulation,
  runnable: ReturnType<typeof simulatedFunction>,
  hours: number,
): string[] {
  return Array.from({ length: hours }, () => {
    const outcome = call(simulation, runnable);
    for (let minute = 0; minute < 60; minute += 1) {
      simulation.advance(MINUTE);
      simulation.settle();
    }
    return outcome;
  });
}

test('by its rhythm a function that is called every hour is warm, and gone in between', () => {
  using simulation = new Simulation({}, 'rhythm');
  const outcomes = everyHour(simulation, simulatedFunction('hourly'), 12);
  assert.deepEqual(new Set(outcomes.slice(0, 5)), new Set(['cold']));
  assert.deepEqual(new Set(outcomes.slice(6)), new Set(['warm']));
  call(simulation, simulatedFunction('hourly'));
  simulation.advance(MINUTE);
  simulation.settle();
  assert.deepEqual(simulation.live(), [], 'nothing is held until the next call is near');
});

test('nothing is started ahead with a fixed keep-alive, with an idle time of its own, without memory, or when it is gone', () => {
  const cold = (outcomes: readonly string[]): boolean => outcomes.every((outcome) => outcome === 'cold');
  using fixed = new Simulation();
  assert.ok(cold(everyHour(fixed, simulatedFunction('hourly'), 12)));
  using own = new Simulation({}, 'rhythm');
  assert.ok(cold(everyHour(own, simulatedFunction('hourly', { idleMsMax: MINUTE }), 12)));
  using full = new Simulation({ memoryMbMax: 200, idleMsMax: 24 * 60 * MINUTE }, 'rhythm');
  everyHour(full, simulatedFunction('hourly'), 8);
  const other = full.request(simulatedFunction('other'));
  full.settle();
  assert.ok(other.isRunning, 'what is idle makes room');
  full.advance(2 * 60 * MINUTE);
  full.settle();
  assert.deepEqual(full.live('hourly'), [], 'what is expected drives nobody out');
  using gone = new Simulation({}, 'rhythm');
  everyHour(gone, simulatedFunction('hourly'), 8);
  gone.scheduler.retireFunction('hourly');
  gone.settle();
  gone.advance(4 * 60 * MINUTE);
  assert.deepEqual(gone.live(), []);
});
