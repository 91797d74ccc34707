import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startPlatform, temporaryDirectory, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { getTask, listTasks, submit, taskIn, type TaskBody } from './support/async-calls.ts';
import { openEventCollector } from './support/event-collector.ts';
import { API, createFunction } from './support/functions.ts';
import { jsonOf, type Answer } from './support/http-call.ts';
import { signedCall } from './support/signed-call.ts';

const WAIT_MS_MAX = 60_000;
const QUEUES = '/thaw/v1/queues';
const WORKER = `
exports.handler = async (event) => {
  if (event.toString() === 'fail') throw new TypeError('it fails');
  return 'did ' + event.toString();
};`;

interface OutcomeEvent {
  readonly requestContext: {
    readonly functionArn: string;
    readonly condition: string;
    readonly approximateInvokeCount: number;
    readonly taskId: string;
  };
  readonly requestPayload: string;
  readonly responseContext: { readonly statusCode: number; readonly functionError: string };
  readonly responsePayload: string;
}

async function putDestinations(
  platform: Platform,
  path: string,
  onSuccess: string,
  onFailure = '',
): Promise<Answer> {
  const [name = '', query = ''] = path.split('?');
  return signedCall(platform, {
    method: 'PUT',
    path: `${API}/functions/${name}/async-invoke-config`,
    query,
    body: JSON.stringify({
      maxAsyncRetryAttempts: 1,
      destinationConfig: {
        ...(onSuccess === '' ? {} : { onSuccess: { destination: onSuccess } }),
        ...(onFailure === '' ? {} : { onFailure: { destination: onFailure } }),
      },
    }),
  });
}

async function accepted(answer: Promise<Answer>): Promise<Answer> {
  const settled = await answer;
  assert.ok(settled.status < 300, settled.body.toString());
  return settled;
}

function handedOn(platform: Platform, functionName: string, taskId: string): Promise<string> {
  return waitFor(
    `the outcome of ${taskId} to be handed on`,
    async () => {
      const task: TaskBody & { readonly destinationStatus?: string } = await getTask(
        platform,
        functionName,
        taskId,
      );
      return task.destinationStatus === '' ? undefined : task.destinationStatus;
    },
    WAIT_MS_MAX,
  );
}

test('outcomes go to a function, a queue, a URL and an object, as the settings say', async (t) => {
  const collector = await openEventCollector(t);
  const { host } = new URL(collector.url);
  const platform = await startPlatform(t, { arguments: ['--destination-hosts', host] });
  await createFunction(platform, 'worker', { code: WORKER });
  await createFunction(platform, 'next', { code: WORKER });
  await accepted(
    signedCall(platform, { method: 'POST', path: QUEUES, body: JSON.stringify({ queueName: 'failed' }) }),
  );
  assert.equal((await platform.thaw(['bucket', 'create', 'outcomes'])).code, 0);

  const wrong = await putDestinations(platform, 'worker', 'nobody');
  assert.equal(wrong.status, 400);
  assert.match(wrong.body.toString(), /destinationConfig\.onSuccess\.destination 'nobody' is no destination/);

  await accepted(
    putDestinations(
      platform,
      'worker',
      'acs:fc:local:1000000000000000:functions/next',
      'acs:mns:local:1000000000000000:/queues/failed/messages',
    ),
  );
  await submit(platform, 'worker', { taskId: 'good', body: 'this' });
  await submit(platform, 'worker', { taskId: 'bad', body: 'fail' });
  assert.equal(await handedOn(platform, 'worker', 'good'), 'Succeeded');
  const [told] = await waitFor('the next function to have it', async () => {
    const tasks = await listTasks(platform, 'next', { includePayload: 'true' });
    return tasks.length === 0 ? undefined : tasks;
  });
  assert.match(told?.taskId ?? '', /^destination-1-/);
  const success: OutcomeEvent = JSON.parse(told?.taskPayload ?? '');
  assert.deepEqual(
    [success.requestContext.condition, success.requestContext.approximateInvokeCount],
    ['Success', 1],
  );
  assert.equal(success.requestContext.functionArn, 'acs:fc:local:1000000000000000:functions/worker/LATEST');
  assert.deepEqual([success.requestPayload, success.responsePayload], ['this', 'did this']);

  await taskIn(platform, 'Failed', 'worker', 'bad');
  assert.equal(await handedOn(platform, 'worker', 'bad'), 'Succeeded');
  const received = await signedCall(platform, {
    method: 'POST',
    path: `${QUEUES}/failed/receive`,
    body: '{}',
  });
  const { messages } = jsonOf<{ messages: readonly { body: string }[] }>(received);
  assert.equal(messages.length, 1);
  const failure: OutcomeEvent = JSON.parse(messages[0]?.body ?? '');
  assert.deepEqual(
    [failure.requestContext.condition, failure.requestContext.approximateInvokeCount],
    ['RetriesExhausted', 2],
  );
  assert.equal(failure.responseContext.functionError, 'UnhandledInvocationError');
  assert.match(failure.responsePayload, /it fails/);

  await accepted(putDestinations(platform, 'worker', collector.url, 'oss:outcomes/of/'));
  await submit(platform, 'worker', { taskId: 'posted', body: 'that' });
  await submit(platform, 'worker', { taskId: 'stored', body: 'fail' });
  assert.equal(await handedOn(platform, 'worker', 'posted'), 'Succeeded');
  assert.equal(await handedOn(platform, 'worker', 'stored'), 'Succeeded');
  const posted: OutcomeEvent[] = collector.events.map((event) => JSON.parse(event));
  assert.deepEqual(
    posted.map(({ requestContext, responsePayload }) => [requestContext.taskId, responsePayload]),
    [['posted', 'did that']],
  );
  const stored = await platform.thaw(['object', 'get', 'outcomes', 'of/stored.json']);
  assert.equal(stored.code, 0, stored.stderr);
  const object: OutcomeEvent = JSON.parse(stored.stdout.toString());
  assert.equal(object.requestContext.taskId, 'stored');

  // What the operator has not allowed, and a circle of functions.
  await accepted(putDestinations(platform, 'worker', 'http://127.0.0.1:9/', ''));
  await submit(platform, 'worker', { taskId: 'inner', body: 'a' });
  assert.match(await handedOn(platform, 'worker', 'inner'), /^Failed: .*--destination-hosts/);
  await accepted(putDestinations(platform, 'worker', 'acs:fc:::functions/worker'));
  await submit(platform, 'worker', { taskId: 'circle', body: 'round' });
  const last = await waitFor(
    'the circle to end',
    async () => {
      const [task] = await listTasks(platform, 'worker', { prefix: 'destination-16-' });
      return task?.status === 'Succeeded' ? task : undefined;
    },
    WAIT_MS_MAX,
  );
  assert.match(await handedOn(platform, 'worker', last.taskId), /^Failed: .*circle/);
});

test('what was settled and not yet handed on is handed on after kill -9', async (t) => {
  const collector = await openEventCollector(t);
  const { host } = new URL(collector.url);
  const dataDir = await temporaryDirectory(t, 'thaw data ');
  // The first platform may not reach its destination, so outcomes stay to be handed on: nobody listens on port 1.
  const first = await startPlatform(t, {
    dataDir,
    isolation: 'process',
    arguments: ['--destination-hosts', '127.0.0.1:1'],
  });
  await createFunction(first, 'worker', { code: WORKER });
  await accepted(putDestinations(first, 'worker', 'http://127.0.0.1:1/'));
  const ids = ['one', 'two', 'three'];
  for (const taskId of ids) await submit(first, 'worker', { taskId, body: taskId });
  for (const taskId of ids) await taskIn(first, 'Succeeded', 'worker', taskId);
  await first.kill();
  const second = await startPlatform(t, {
    dataDir,
    isolation: 'process',
    arguments: ['--destination-hosts', `127.0.0.1:1,${host}`],
  });
  // The settings that hold at the delivery are those that count.
  await accepted(putDestinations(second, 'worker', collector.url));
  for (const taskId of ids) assert.equal(await handedOn(second, 'worker', taskId), 'Succeeded');
  const got = collector.events.map((event) => {
    const outcome: OutcomeEvent = JSON.parse(event);
    return outcome.requestContext.taskId;
  });
  assert.deepEqual(new Set(got), new Set(ids));
});
