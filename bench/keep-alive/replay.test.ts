import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareKeepAlive } from '../scenarios/keep-alive.ts';
import { azureDay } from './azure-day.ts';

test('a synthesized day is the same for the same seed and has the published shape', () => {
  const day = azureDay(1_000, 1);
  assert.deepEqual(azureDay(1_000, 1), day);
  const share = (perDayMax: number): number =>
    (1_000 - day.filter(({ calls }) => calls.length > perDayMax).length) / 1_000;
  assert.ok(Math.abs(share(24) - 0.45) < 0.1, `${share(24)} are called once an hour or less`);
  assert.ok(Math.abs(share(1440) - 0.81) < 0.1, `${share(1440)} are called once a minute or less`);
});

test('by its rhythm a day has half the cold starts of a fixed keep-alive, in no more memory', () => {
  const { ratio, memoryRatio, thaw, fixed10min } = compareKeepAlive(60, 20_200_715);
  assert.equal(thaw.calls, fixed10min.calls);
  assert.ok(ratio <= 0.5, `${ratio} x the cold starts`);
  assert.ok(memoryRatio <= 1, `${memoryRatio} x the memory`);
});
