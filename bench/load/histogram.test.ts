import assert from 'node:assert/strict';
import { it } from 'node:test';
import { LatencyHistogram } from './histogram.ts';

it('gives quantiles within a hundredth of the exact ones', () => {
  const histogram = new LatencyHistogram();
  const values = Array.from({ length: 10_000 }, (_, n) => 0.05 + ((n * 7919) % 10_000) ** 1.5 / 1000);
  for (const value of values) histogram.add(value);
  const sorted = values.toSorted((a, b) => a - b);
  assert.equal(histogram.total, 10_000);
  assert.equal(histogram.maxMs, sorted.at(-1));
  for (const q of [0.01, 0.5, 0.9, 0.99, 0.999]) {
    const exact = sorted[Math.ceil(q * 10_000) - 1] ?? NaN;
    const told = histogram.quantile(q);
    assert.ok(told >= exact && told <= exact * 1.01, `${q}: ${told} for ${exact}`);
  }
});

it('has no quantile of nothing', () => {
  assert.ok(Number.isNaN(new LatencyHistogram().quantile(0.5)));
});
