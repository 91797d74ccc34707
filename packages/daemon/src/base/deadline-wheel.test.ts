import assert from 'node:assert/strict';
import { test } from 'node:test';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import * as fc from 'fast-check';
import { ManualClock, systemClock } from './clock.ts';
import { DeadlineWheel, type Deadline } from './deadline-wheel.ts';

test('a deadline fires once, never early and at most two ticks late', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 40_000 }), { maxLength: 60 }),
      fc.integer({ min: 1, max: 25 }),
      (delays, step) => {
        const clock = new ManualClock(1234);
        const wheel = new DeadlineWheel(clock);
        const firedAt = new Map<number, number[]>();
        delays.forEach((delay, index) => {
          wheel.set(delay, () =>
            firedAt.set(index, [...(firedAt.get(index) ?? []), clock.monotonicMs() - 1234]),
          );
        });
        for (let elapsed = 0; elapsed <= 40_100; elapsed += step) {
          clock.advance(step);
          wheel.tick();
        }
        wheel.close();
        delays.forEach((delay, index) => {
          const times = firedAt.get(index) ?? [];
          assert.equal(times.length, 1);
          const late = (times[0] ?? Number.NaN) - delay;
          assert.ok(late >= 0 && late <= 20 + step, `delay ${delay} fired ${late} ms late`);
        });
      },
    ),
    { numRuns: 30 },
  );
});

test('a cleared deadline never fires, even when a neighbour clears it as it fires', () => {
  const clock = new ManualClock();
  const wheel = new DeadlineWheel(clock);
  const fired: string[] = [];
  const deadlines: Deadline[] = [];
  for (const name of ['a', 'b', 'c']) {
    deadlines.push(
      wheel.set(50, () => {
        fired.push(name);
        for (const other of deadlines) wheel.clear(other);
      }),
    );
  }
  clock.advance(100);
  wheel.tick();
  wheel.close();
  assert.equal(fired.length, 1);
});

test('the wheel wakes for what is due, not at every tick before it', async () => {
  let looks = 0;
  const clock = {
    now: () => systemClock.now(),
    monotonicMs: () => {
      looks += 1;
      return systemClock.monotonicMs();
    },
  };
  const wheel = new DeadlineWheel(clock);
  const fired: string[] = [];
  try {
    wheel.set(600_000, () => assert.fail('ten minutes have not passed'));
    wheel.clear(wheel.set(20, () => assert.fail('it was cleared')));
    wheel.set(40, () => wheel.set(0, () => fired.push('at once')));
    await waitFor('the one that another sets', () => fired.includes('at once'));
    const looksBefore = looks;
    wheel.set(400, () => fired.push('later'));
    await waitFor('the later one', () => fired.includes('later'));
    assert.ok(looks - looksBefore < 10, `it looked at the clock ${looks - looksBefore} times`);
    wheel.set(10, () => fired.push('before all others'));
    await waitFor('the one before all others', () => fired.includes('before all others'));
  } finally {
    wheel.close();
  }
});

test('more deadlines than the search passes by are all fired in their time', () => {
  const clock = new ManualClock(5);
  const wheel = new DeadlineWheel(clock);
  let fired = 0;
  for (let n = 0; n < 1000; n += 1) wheel.set(20_000 + (n % 7) * 10, () => (fired += 1));
  for (let elapsed = 0; elapsed < 20_000; elapsed += 10) {
    assert.equal(fired, 0);
    wheel.tick();
    clock.advance(10);
  }
  clock.advance(100);
  wheel.tick();
  wheel.close();
  assert.equal(fired, 1000);
});
