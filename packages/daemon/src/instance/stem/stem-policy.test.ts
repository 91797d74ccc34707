import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stemRetryMs, stemsToBoot, stemsWanted } from './stem-policy.ts';

test('a burst that found no stems asks for more of them, up to a bound', () => {
  assert.deepEqual(
    [0, 1, 2, 5, 12, 1000].map((misses) => stemsWanted(2, misses)),
    [2, 2, 3, 4, 8, 8],
  );
});

test('what is kept is kept, also beyond the bound of bursts, and nothing of what is switched off', () => {
  assert.equal(stemsWanted(20, 0), 20);
  assert.equal(stemsWanted(20, 500), 20);
  assert.equal(stemsWanted(0, 500), 0);
});

test('few boot at once, and no more than there is room for', () => {
  const now = { wanted: 8, stems: 1, booting: 0, total: 4, bootingMax: 2, totalMax: 32 };
  assert.equal(stemsToBoot(now), 2);
  assert.equal(stemsToBoot({ ...now, booting: 1 }), 1);
  assert.equal(stemsToBoot({ ...now, booting: 5 }), 0);
  assert.equal(stemsToBoot({ ...now, total: 31 }), 1);
  assert.equal(stemsToBoot({ ...now, total: 40 }), 0);
  assert.equal(stemsToBoot({ ...now, stems: 7 }), 1);
  assert.equal(stemsToBoot({ ...now, stems: 9 }), 0);
});

test('a runtime that fails to boot is tried again less and less often', () => {
  assert.deepEqual([1, 2, 3, 6, 7, 50].map(stemRetryMs), [1000, 2000, 4000, 32_000, 60_000, 60_000]);
});
