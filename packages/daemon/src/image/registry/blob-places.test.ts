import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../base/clock.ts';
import { BlobPlaces } from './blob-places.ts';

const [one, other] = [new URL('http://store.invalid/1'), new URL('http://store.invalid/2')];

test('a place is known for a minute, until it is taken back or too many are newer', () => {
  const clock = new ManualClock();
  const places = new BlobPlaces(clock);
  places.set('a', one);
  clock.advance(59_000);
  assert.equal(places.of('a'), one);
  clock.advance(1_000);
  assert.equal(places.of('a'), undefined);
  places.set('a', one);
  places.set('a', other);
  // Whoever was refused at the old address says nothing of the new one.
  places.delete('a', one);
  assert.equal(places.of('a'), other);
  places.delete('a', other);
  assert.equal(places.of('a'), undefined);
  for (let index = 0; index < 1000; index += 1) places.set(`blob ${index}`, one);
  const known = Array.from({ length: 1000 }, (_, index) => places.of(`blob ${index}`) !== undefined);
  assert.deepEqual([known.filter(Boolean).length, known.at(-1), known[0]], [256, true, false]);
});
