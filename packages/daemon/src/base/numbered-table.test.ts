import assert from 'node:assert/strict';
import { it } from 'node:test';
import { NumberedTable } from './numbered-table.ts';

function add<T>(table: NumberedTable<T>, value: T): number {
  const number = table.nextNumber();
  table.set(number, value);
  return number;
}

it('gives back what stands under a number, and nothing when it is deleted', () => {
  const table = new NumberedTable<string>();
  const one = add(table, 'one');
  const two = add(table, 'two');
  assert.equal(table.get(one), 'one');
  table.delete(one);
  table.delete(one);
  assert.equal(table.get(one), undefined);
  assert.equal(table.get(two), 'two');
  assert.equal(table.size, 1);
  assert.deepEqual(table.values(), ['two']);
});

it('keeps what stays while thousands come and go, under numbers that only rise', () => {
  const table = new NumberedTable<number>();
  const kept = new Map<number, number>();
  let last = 0;
  for (let round = 0; round < 20_000; round += 1) {
    const number = add(table, round);
    assert.ok(number > last);
    last = number;
    if (round % 100 === 0) kept.set(number, round);
    else table.delete(number);
  }
  assert.equal(table.size, kept.size);
  for (const [number, round] of kept) assert.equal(table.get(number), round);
  assert.deepEqual(new Set(table.values()), new Set(kept.values()));
});

it('takes no number but the one that it gave out last', () => {
  const table = new NumberedTable<string>();
  const first = table.nextNumber();
  table.nextNumber();
  assert.throws(() => table.set(first, 'late'), /not the one that was given out/);
});
