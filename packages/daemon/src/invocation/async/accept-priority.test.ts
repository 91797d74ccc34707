import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AcceptPriority, WAVE_MS } from './accept-priority.ts';

/** How many may begin at this moment, up to 1000. */
function begun(priority: AcceptPriority, nowMs: number): number {
  let count = 0;
  for (; count < 1000 && priority.mayBegin(nowMs); count += 1) priority.noteBegun();
  return count;
}

test('a few that are being accepted hold nothing back', () => {
  const priority = new AcceptPriority();
  for (let n = 0; n < 8; n += 1) priority.noteAsked(0);
  assert.equal(begun(priority, 0), 1000);
});

test('while many are being accepted, one is begun for each four of them', () => {
  const priority = new AcceptPriority();
  for (let n = 0; n < 64; n += 1) priority.noteAsked(0);
  assert.equal(begun(priority, 0), 0);
  assert.equal(begun(priority, 1000), 0, 'also where the disk is slow');
  for (let n = 0; n < 64; n += 1) priority.noteAsked(1000);
  for (let n = 0; n < 64; n += 1) priority.noteAnswered(false);
  for (let n = 0; n < 40; n += 1) priority.noteAnswered(true);
  for (let n = 0; n < 24; n += 1) priority.noteAnswered(false);
  assert.equal(begun(priority, 1001), 10);
  assert.equal(begun(priority, 1000 + WAVE_MS - 1), 0, 'they come in waves');
  assert.equal(begun(priority, 1000 + WAVE_MS), 1000, 'the last wave is over');
});

test('a long wait leaves little to catch up with', () => {
  const priority = new AcceptPriority();
  for (let n = 0; n < 10_000; n += 1) priority.noteAsked(0);
  for (let n = 0; n < 10_000; n += 1) priority.noteAnswered(true);
  assert.equal(begun(priority, 0), 64);
});
