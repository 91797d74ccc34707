import assert from 'node:assert/strict';
import { it } from 'node:test';
import { RECORDS_BURST_MAX, RECORDS_PER_SECOND_MAX, RecordBudget } from './record-budget.ts';

function takenOf(budget: RecordBudget, nowMs: number, asked: number): number {
  return Array.from({ length: asked }, () => budget.take(nowMs)).filter(Boolean).length;
}

it('takes a whole burst after a rest, then as many as time earns', () => {
  const budget = new RecordBudget(0);
  assert.equal(takenOf(budget, 0, RECORDS_BURST_MAX + 10), RECORDS_BURST_MAX);
  assert.equal(takenOf(budget, 1_000, 2 * RECORDS_PER_SECOND_MAX), RECORDS_PER_SECOND_MAX);
  assert.equal(takenOf(budget, 1_000, 10), 0);
  assert.equal(takenOf(budget, 1_000_000, RECORDS_BURST_MAX + 10), RECORDS_BURST_MAX);
});

it('loses nothing to small steps of time', () => {
  const budget = new RecordBudget(0);
  takenOf(budget, 0, RECORDS_BURST_MAX);
  let taken = 0;
  for (let ms = 1; ms <= 1_000; ms += 1) taken += takenOf(budget, ms, 10);
  assert.equal(taken, RECORDS_PER_SECOND_MAX);
});
