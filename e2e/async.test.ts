import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import fc from '@alicloud/fc20230330';
import type * as Dara from '@darabonba/typescript';
import { fcClient, startPlatform, type FcClient } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { getTask, invokeLater, listTasks, submit, taskIn } from './support/async-calls.ts';
import { API, createFunction, createHttpTrigger, invoke, putSetting } from './support/functions.ts';
import { jsonOf, send } from './support/http-call.ts';
import { signedCall } from './support/signed-call.ts';

/** The client's own library, found as the client finds it: its calls with headers want an object of its making. */
const dara: typeof Dara = createRequire(import.meta.resolve('@alicloud/fc20230330'))('@darabonba/typescript');

/** Counts its runs by what its instance remembers; there is one instance as long as nothing runs side by side. */
const WORKER = `
let runs = 0;
exports.handler = async (event, context) => {
  const text = event.toString();
  if (text === 'runs') return String(runs);
  runs += 1;
  if (text === 'fail') throw new TypeError('try ' + context.retryCount);
  if (text === 'sleep') await new Promise((resolve) => setTimeout(resolve, 60_000));
  return text + ' by ' + context.requestId;
};`;

async function clientInvoke(
  client: FcClient,
  body: string,
  headers: object,
): Promise<Record<string, string>> {
  const answer = await client.invokeFunctionWithOptions(
    'worker',
    new fc.InvokeFunctionRequest({ body: Readable.from([Buffer.from(body)]) }),
    new fc.InvokeFunctionHeaders(headers),
    new dara.RuntimeOptions({}),
  );
  assert.equal(answer.statusCode, 202);
  return answer.headers ?? {};
}

test('the official client invokes asynchronously, and lists, gets and stops tasks', async (t) => {
  const platform = await startPlatform(t);
  await createFunction(platform, 'worker', { code: WORKER, fields: { timeout: 100 } });
  const client = fcClient(platform);

  const headers = await clientInvoke(client, 'first', {
    xFcInvocationType: 'Async',
    xFcAsyncTaskId: 'job-1',
  });
  assert.equal(headers['x-fc-async-task-id'], 'job-1');
  const { events, returnPayload } = await taskIn(platform, 'Succeeded', 'worker', 'job-1');
  assert.deepEqual(
    events.map(({ status }) => status),
    ['Enqueued', 'Dequeued', 'Running', 'Succeeded'],
  );
  assert.equal(returnPayload, `first by ${headers['x-fc-request-id']}`);
  const own = await clientInvoke(client, 'second', { xFcInvocationType: 'Async' });
  const ownId = own['x-fc-async-task-id'] ?? '';
  assert.equal(ownId, own['x-fc-request-id'], 'without an id of the caller the request is the task');
  await taskIn(platform, 'Succeeded', 'worker', ownId);

  const { body: task } = await client.getAsyncTask('worker', 'job-1', new fc.GetAsyncTaskRequest({}));
  assert.deepEqual(
    [task?.taskId, task?.status, task?.taskPayload, task?.qualifier, task?.alreadyRetriedTimes],
    ['job-1', 'Succeeded', 'first', 'LATEST', 0],
  );
  assert.ok((task?.startedTime ?? 0) <= (task?.endTime ?? -1));

  await clientInvoke(client, 'sleep', { xFcInvocationType: 'Async', xFcAsyncTaskId: 'job-long' });
  await taskIn(platform, 'Running', 'worker', 'job-long');
  const listed = async (request: object): Promise<(string | undefined)[]> => {
    const { body } = await client.listAsyncTasks('worker', new fc.ListAsyncTasksRequest(request));
    return (body?.tasks ?? []).map(({ taskId }) => taskId);
  };
  assert.deepEqual(await listed({ status: 'Running' }), ['job-long']);
  assert.deepEqual(await listed({ prefix: 'job-', sortOrderByTime: 'asc' }), ['job-1', 'job-long']);
  assert.deepEqual(
    await listed({
      startedTimeBegin: task?.startedTime,
      startedTimeEnd: task?.startedTime,
      status: 'Succeeded',
    }),
    ['job-1'],
  );
  const first = await client.listAsyncTasks(
    'worker',
    new fc.ListAsyncTasksRequest({ limit: 2, includePayload: true }),
  );
  assert.deepEqual(
    first.body?.tasks?.map((each) => [each.taskId, each.taskPayload]),
    [
      ['job-long', 'sleep'],
      [ownId, 'second'],
    ],
  );
  assert.deepEqual(await listed({ limit: 2, nextToken: first.body?.nextToken }), ['job-1']);

  const stopped = await client.stopAsyncTask('worker', 'job-long', new fc.StopAsyncTaskRequest({}));
  assert.equal(stopped.statusCode, 204);
  const ended = await taskIn(platform, 'Stopped', 'worker', 'job-long');
  assert.deepEqual(
    ended.events.map(({ status }) => status),
    ['Enqueued', 'Dequeued', 'Running', 'Stopping', 'Stopped'],
  );
  assert.equal((await invoke(platform, 'worker', 'runs')).body.toString(), '0', 'its instance went with it');
  await assert.rejects(
    client.stopAsyncTask('worker', 'job-1', new fc.StopAsyncTaskRequest({})),
    (error) => error instanceof Error && 'code' in error && error.code === 'PreconditionFailed',
  );
  await assert.rejects(
    client.getAsyncTask('worker', 'nobody', new fc.GetAsyncTaskRequest({})),
    (error) => error instanceof Error && 'code' in error && error.code === 'AsyncTaskNotFound',
  );

  const shown = await platform.thaw(['invocation', 'get', headers['x-fc-request-id'] ?? '', '--json']);
  const record: { kind?: string; trigger?: string } = JSON.parse(shown.stdout.toString());
  assert.deepEqual([record.kind, record.trigger], ['async', 'api']);
});

test('failures are tried again as the settings say, and stay as dead letters', async (t) => {
  const platform = await startPlatform(t);
  await createFunction(platform, 'worker', { code: WORKER });
  await putSetting(platform, 'worker/async-invoke-config', { maxAsyncRetryAttempts: 1 });
  await submit(platform, 'worker', { taskId: 'failing', body: 'fail' });
  const failed = await taskIn(platform, 'Failed', 'worker', 'failing');
  assert.equal(failed.alreadyRetriedTimes, 1);
  assert.equal(failed.taskErrorMessage, 'TypeError: try 1', 'the runtime knows how often it was tried');
  assert.deepEqual(
    failed.events.flatMap(({ status, eventDetail }) =>
      eventDetail.startsWith('try') ? [[status, eventDetail]] : [],
    ),
    [
      ['Retrying', 'try 0'],
      ['Failed', 'try 1'],
    ],
  );
  const [dead] = await listTasks(platform, 'worker', { status: 'Failed', includePayload: 'true' });
  assert.deepEqual([dead?.taskId, dead?.taskPayload], ['failing', 'fail']);

  await putSetting(platform, 'worker/async-invoke-config', {
    maxAsyncRetryAttempts: 8,
    maxAsyncEventAgeInSeconds: 1,
  });
  await submit(platform, 'worker', { taskId: 'ageing', body: 'fail' });
  await taskIn(platform, 'Expired', 'worker', 'ageing');

  // Throttled: it waits, and costs no try.
  await putSetting(platform, 'worker/concurrency', { reservedConcurrency: 0 });
  await putSetting(platform, 'worker/async-invoke-config', {});
  await submit(platform, 'worker', { taskId: 'patient', body: 'patient' });
  await waitFor('it to be put off', async () => {
    const { events } = await getTask(platform, 'worker', 'patient');
    return events.some(({ eventDetail }) => eventDetail.includes('reserved concurrency is 0'));
  });
  const lifted = await signedCall(platform, {
    method: 'DELETE',
    path: `${API}/functions/worker/concurrency`,
  });
  assert.equal(lifted.status, 204);
  const patient = await taskIn(platform, 'Succeeded', 'worker', 'patient');
  assert.equal(patient.alreadyRetriedTimes, 0);
});

test('a deleted function leaves no event behind that waits', async (t) => {
  const platform = await startPlatform(t);
  await createFunction(platform, 'worker', { code: WORKER });
  await putSetting(platform, 'worker/concurrency', { reservedConcurrency: 0 });
  const ids = ['a', 'b', 'c', 'd', 'e', 'f'];
  for (const taskId of ids) await submit(platform, 'worker', { taskId, body: taskId });
  const stop = await platform.thaw(['task', 'stop', 'worker', 'f']);
  assert.equal(stop.code, 0, stop.stderr);
  assert.equal((await getTask(platform, 'worker', 'f')).status, 'Stopped');
  const removed = await signedCall(platform, { method: 'DELETE', path: `${API}/functions/worker` });
  assert.equal(removed.status, 204);
  await waitFor('every event to have ended', async () => {
    const statuses = (await listTasks(platform, 'worker')).map(({ status }) => status);
    return statuses.filter((status) => status === 'Invalid').length === ids.length - 1;
  });
  assert.equal((await invokeLater(platform, 'worker')).status, 404);
});

test('a request to an HTTP trigger can be served later', async (t) => {
  const platform = await startPlatform(t);
  const code = `exports.handler = async (event) => {
    const { rawPath, body, isBase64Encoded, requestContext, headers } = JSON.parse(event);
    const text = isBase64Encoded ? Buffer.from(body, 'base64').toString() : body;
    return { statusCode: 201, headers: { 'x-seen': 'yes' }, body: [requestContext.http.method, rawPath, text, headers['X-Own'] ?? headers['x-own'] ].join(' ') };
  };`;
  await createFunction(platform, 'web', { code });
  const url = new URL(await createHttpTrigger(platform, 'web'));
  const headers = { 'x-fc-invocation-type': 'Async', 'x-fc-async-task-id': 'page', 'x-own': 'kept' };
  const answer = await send(platform.url, {
    method: 'PUT',
    path: `${url.pathname}some/page`,
    headers,
    body: 'words',
  });
  assert.deepEqual(
    [answer.status, answer.body.length, answer.headers['x-fc-async-task-id']],
    [202, 0, 'page'],
  );
  const task = await taskIn(platform, 'Succeeded', 'web', 'page');
  assert.equal(task.returnPayload, 'PUT /some/page words kept');
  const unknown = await send(platform.url, {
    path: url.pathname,
    headers: { 'x-fc-invocation-type': 'Sometimes' },
  });
  assert.equal(unknown.status, 400);
});

test('the command line submits, shows and lists tasks', async (t) => {
  const platform = await startPlatform(t);
  await createFunction(platform, 'worker', { code: WORKER });
  const submitted = await platform.thaw(['invoke', 'worker', '-d', 'hello', '--async', '--task-id', 'greet']);
  assert.deepEqual([submitted.code, submitted.stdout.toString()], [0, 'greet\n'], submitted.stderr);
  await taskIn(platform, 'Succeeded', 'worker', 'greet');
  const shown = await platform.thaw(['task', 'get', 'worker', 'greet']);
  assert.match(shown.stdout.toString(), /status +Succeeded[^]*payload +hello[^]*result +hello by[^]*Running/);
  const listed = await platform.thaw(['task', 'list', 'worker', '--status', 'Succeeded']);
  assert.match(listed.stdout.toString(), /greet +Succeeded/);
  const json: { tasks: unknown[] } = jsonOf({
    body: (await platform.thaw(['task', 'list', 'worker', '--json'])).stdout,
  });
  assert.equal(json.tasks.length, 1);
  assert.equal((await platform.thaw(['task', 'get', 'worker', 'nobody'])).code, 2);
  assert.equal((await platform.thaw(['invoke', 'worker', '--async', '--timeline'])).code, 2);
});
