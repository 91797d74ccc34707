import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AsyncTask } from '../../model/async-task.ts';
import { sampleTask } from '../../model/sample-task.ts';
import { destinationEvent } from './destination-event.ts';

const TASK = sampleTask({
  enqueuedAt: 1,
  dueAt: 1,
  endedAt: 2,
  tries: 1,
  payload: { size: 2 },
  result: { size: 3 },
});

const eventOf = (task: Partial<AsyncTask>, payload?: Buffer, result?: Buffer): unknown =>
  JSON.parse(
    destinationEvent({
      task: { ...TASK, ...task },
      functionArn: 'arn',
      timestamp: 5,
      payload,
      result,
    }).toString(),
  );

test('a success brings payload and answer, bytes that are no text as base64', () => {
  assert.deepEqual(eventOf({}, Buffer.from('in'), Buffer.from([1, 255, 2])), {
    timestamp: 5,
    requestContext: {
      requestId: 'r',
      functionArn: 'arn',
      condition: 'Success',
      approximateInvokeCount: 2,
      taskId: 't',
    },
    requestPayload: 'in',
    responseContext: { statusCode: 200, functionError: '' },
    responsePayload: 'Af8C',
    responsePayloadEncoding: 'base64',
  });
});

test('a failure brings its error, and where to find what is too large', () => {
  const error = { code: 'HANDLER_THREW', errorType: 'TypeError', message: 'no' };
  assert.deepEqual(eventOf({ status: 'Failed', tries: 4, error, payload: { size: 70_000, blob: 'b' } }), {
    timestamp: 5,
    requestContext: {
      requestId: 'r',
      functionArn: 'arn',
      condition: 'RetriesExhausted',
      approximateInvokeCount: 4,
      taskId: 't',
    },
    requestPayload: '',
    requestPayloadReference: { size: 70_000, path: '/thaw/v1/functions/f/tasks/t/payload' },
    responseContext: { statusCode: 200, functionError: 'UnhandledInvocationError' },
    responsePayload: JSON.stringify({ errorType: 'TypeError', errorMessage: 'no' }),
  });
});

test('an event that escapes make too long names both', () => {
  const bytes = Buffer.alloc(60_000, 1);
  const event = destinationEvent({
    task: { ...TASK, payload: { size: 60_000 } },
    functionArn: 'arn',
    timestamp: 5,
    payload: bytes,
    result: Buffer.from('abc'),
  });
  assert.ok(event.length < 1000);
  assert.match(event.toString(), /requestPayloadReference.*responsePayloadReference/);
});
