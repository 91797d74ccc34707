import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { ManualClock } from './clock.ts';
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
