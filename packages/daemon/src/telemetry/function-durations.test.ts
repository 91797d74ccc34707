import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Histogram, Registry } from 'prom-client';
import { FunctionDurations } from './function-durations.ts';

it('exposes what the library exposes for the same observations', async () => {
  const ours = new Registry();
  const theirs = new Registry();
  const boundsS = [0.001, 0.01, 1];
  const fast = new FunctionDurations({ name: 'd_seconds', help: 'Durations.', boundsS, registers: [ours] });
  const slow = new Histogram({
    name: 'd_seconds',
    help: 'Durations.',
    labelNames: ['function'],
    buckets: boundsS,
    registers: [theirs],
  });
  for (const [name, ms] of [
    ['a', 0.5],
    ['a', 1],
    ['a', 2],
    ['b', 5_000],
    ['b "quoted"', 64],
  ] as const) {
    fast.add(name, ms);
    slow.observe({ function: name }, ms / 1000);
  }
  const linesOf = async (registry: Registry): Promise<string[]> =>
    (await registry.metrics())
      .replaceAll(/\{le="([^"]+)",(function="(?:[^"\\]|\\.)*")\}/g, '{$2,le="$1"}')
      .split('\n')
      .toSorted();
  assert.deepEqual(await linesOf(ours), await linesOf(theirs));
});
