import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PieceMemory } from './piece-memory.ts';
import { PIECE_BYTES_MAX } from './spans.ts';

test('memory is used again, once it was given back, and not by two at a time', () => {
  const memory = new PieceMemory();
  const [one, other] = [memory.take(100), memory.take(PIECE_BYTES_MAX)];
  assert.notEqual(one.buffer, other.buffer);
  assert.deepEqual([one.length, other.length], [100, PIECE_BYTES_MAX]);
  memory.giveBack(one);
  memory.giveBack(one);
  const [again, more] = [memory.take(5), memory.take(5)];
  assert.equal(again.buffer, one.buffer);
  assert.notEqual(more.buffer, one.buffer);
  memory.giveBack(new Uint8Array(PIECE_BYTES_MAX));
  assert.equal(memory.take(PIECE_BYTES_MAX + 1).length, PIECE_BYTES_MAX + 1);
});
