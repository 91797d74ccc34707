import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { askedBy, eventTaskId } from './event-task-id.ts';

test('the id of a task tells whose answer is wanted, and nothing where it is not', () => {
  const triggerId = randomUUID();
  for (const key of [randomUUID(), '1-6920b2c1-0123456789abcdef', 'reply-x-0']) {
    const origin = { key, triggerId, hops: 3 };
    const taskId = eventTaskId(origin);
    assert.deepEqual(askedBy(taskId), origin);
    assert.match(taskId, /^[A-Za-z_][A-Za-z0-9_-]{0,127}$/, 'it is a task id as any other');
    assert.equal(askedBy(eventTaskId({ key, triggerId })), undefined);
  }
  assert.equal(askedBy('asked-1-somebody'), undefined);
});
