import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WaiterQueue } from './waiter-queue.ts';

interface Named {
  readonly name: string;
  readonly isPatient?: boolean;
}

function queueOf(urgent: number, patient: number, capacity = 100): WaiterQueue<Named> {
  const queue = new WaiterQueue<Named>(capacity);
  for (let n = 0; n < patient; n += 1) queue.push({ name: `p${n}`, isPatient: true });
  for (let n = 0; n < urgent; n += 1) queue.push({ name: `u${n}` });
  return queue;
}

function drain(queue: WaiterQueue<Named>): string[] {
  const names: string[] = [];
  for (let waiter = queue.shift(); waiter !== undefined; waiter = queue.shift()) names.push(waiter.name);
  return names;
}

test('callers go before those that nobody waits for, each kind in its order', () => {
  assert.deepEqual(drain(queueOf(3, 2)), ['u0', 'u1', 'u2', 'p0', 'p1']);
});

test('the patient get a turn in eight, however many callers come', () => {
  const order = drain(queueOf(20, 2));
  assert.deepEqual([order.indexOf('p0'), order.indexOf('p1')], [7, 15]);
});

test('one bound holds for both together', () => {
  const queue = queueOf(1, 1, 2);
  assert.equal(queue.push({ name: 'late' }), false);
  assert.equal(queue.size, 2);
});

test('either kind can leave', () => {
  const queue = new WaiterQueue<Named>(5);
  const waiters: readonly Named[] = [{ name: 'u' }, { name: 'p', isPatient: true }];
  for (const waiter of waiters) queue.push(waiter);
  assert.deepEqual(
    waiters.map((waiter) => queue.remove(waiter)),
    [true, true],
  );
  assert.equal(queue.size, 0);
});
