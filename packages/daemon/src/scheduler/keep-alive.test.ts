import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { instancesToEvict, keepAlivePriority, type EvictionCandidate } from './keep-alive.ts';

const candidate: fc.Arbitrary<EvictionCandidate> = fc.record({
  clock: fc.nat(1000),
  uses: fc.integer({ min: 1, max: 10_000 }),
  coldStartMs: fc.integer({ min: 1, max: 20_000 }),
  memoryMb: fc.integer({ min: 1, max: 64 }).map((units) => units * 64),
  usedMs: fc.nat(100_000),
});

test('used often, costly to start and small is worth keeping', () => {
  const usual = { clock: 5, uses: 10, coldStartMs: 300, memoryMb: 512 };
  const worth = keepAlivePriority(usual);
  assert.ok(keepAlivePriority({ ...usual, uses: 11 }) > worth);
  assert.ok(keepAlivePriority({ ...usual, coldStartMs: 301 }) > worth);
  assert.ok(keepAlivePriority({ ...usual, memoryMb: 1024 }) < worth);
  assert.ok(keepAlivePriority({ ...usual, clock: 6 }) > worth);
});

test('what is evicted has the least priority, is enough and no more, and the clock never goes back', () => {
  fc.assert(
    fc.property(
      fc.array(candidate, { maxLength: 30 }),
      fc.nat(20_000),
      fc.nat(1000),
      (candidates, needed, clock) => {
        const eviction = instancesToEvict(candidates, needed, clock);
        const gone = new Set(eviction.evicted);
        const kept = candidates.filter((each) => !gone.has(each));
        const highestGone = Math.max(-Infinity, ...eviction.evicted.map(keepAlivePriority));
        for (const each of kept) assert.ok(keepAlivePriority(each) >= highestGone);
        const freed = eviction.evicted.reduce((sum, each) => sum + each.memoryMb, 0);
        const last = eviction.evicted.at(-1)?.memoryMb ?? 0;
        assert.ok(freed >= needed || kept.length === 0);
        assert.ok(eviction.evicted.length === 0 || freed - last < needed);
        assert.equal(eviction.clock, Math.max(clock, highestGone));
      },
    ),
  );
});

/** Requests one after the other to functions by Zipf's law, in a memory that holds a part of them: the cost of all cold starts. */
function coldStartCost(priorityOf: (facts: EvictionCandidate) => number): number {
  const FUNCTIONS = 200;
  const REQUESTS = 20_000;
  const MEMORY_MB = 8 * 1024;
  // Any generator would do; this one is the same on every machine (Park and Miller, "minimal standard").
  let seed = 20_261_120;
  const random = (): number => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
  const functions = Array.from({ length: FUNCTIONS }, (_, rank) => ({
    weight: 1 / (rank + 1),
    memoryMb: [128, 256, 512, 1024][Math.floor(random() * 4)] ?? 128,
    coldStartMs: [50, 200, 1000, 5000][Math.floor(random() * 4)] ?? 50,
  }));
  const total = functions.reduce((sum, each) => sum + each.weight, 0);
  const warm = new Map<(typeof functions)[number], EvictionCandidate>();
  let clock = 0;
  let cost = 0;
  for (let nowMs = 0; nowMs < REQUESTS; nowMs += 1) {
    let at = random() * total;
    const called = functions.find((each) => (at -= each.weight) <= 0) ?? functions[0];
    assert.ok(called !== undefined);
    const uses = (warm.get(called)?.uses ?? 0) + 1;
    if (!warm.delete(called)) {
      cost += called.coldStartMs;
      let usedMb = [...warm.values()].reduce((sum, each) => sum + each.memoryMb, 0);
      while (usedMb + called.memoryMb > MEMORY_MB) {
        const [victim] = [...warm].toSorted((a, b) => priorityOf(a[1]) - priorityOf(b[1]));
        assert.ok(victim !== undefined);
        clock = Math.max(clock, priorityOf(victim[1]));
        warm.delete(victim[0]);
        usedMb -= victim[1].memoryMb;
      }
    }
    warm.set(called, { ...called, clock, uses, usedMs: nowMs });
  }
  return cost;
}

test('under pressure, cold starts cost less than with the longest idle one evicted first', () => {
  const greedyDual = coldStartCost(keepAlivePriority);
  const longestIdle = coldStartCost((facts) => facts.usedMs);
  assert.ok(greedyDual < longestIdle * 0.9, `${greedyDual} ms against ${longestIdle} ms`);
});
