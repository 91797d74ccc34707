import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startPlatform, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { createFunction, createHttpTrigger, invoke } from './support/functions.ts';
import { jsonOf, send, type Answer } from './support/http-call.ts';
import { signedCall } from './support/signed-call.ts';

const RECORDS = { timeout: 30, environmentVariables: { THAW_RECORD_INPUTS: 'on' } };

/** Its answer says how often it ran and what it was given. */
const COUNTER = `
let runs = 0;
exports.handler = async (event) => JSON.stringify({ runs: ++runs, event: event.toString() });`;

const WEB = `
let runs = 0;
exports.handler = (req, resp) => {
  const chunks = [];
  req.on('data', (chunk) => chunks.push(chunk));
  req.on('end', () => {
    const body = Buffer.concat(chunks);
    resp.statusCode = 201;
    resp.setHeader('x-mine', String(req.headers['x-mine']));
    resp.end(JSON.stringify({ runs: ++runs, method: req.method, url: req.url, length: body.length, end: body.subarray(-3).toString() }));
  });
};`;

interface Counted {
  readonly runs: number;
  readonly event: string;
}

interface InvocationFacts {
  readonly trigger: string;
  readonly kind: string;
  readonly replayOf?: string;
}

const requestIdOf = (answer: Answer): string => String(answer.headers['x-fc-request-id']);

function replay(
  platform: Platform,
  requestId: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  return signedCall(platform, { method: 'POST', path: `/thaw/v1/invocations/${requestId}/replay`, headers });
}

function factsOf(platform: Platform, requestId: string): Promise<InvocationFacts> {
  return waitFor(`the record of ${requestId}`, async () => {
    const answer = await signedCall(platform, { method: 'GET', path: `/thaw/v1/invocations/${requestId}` });
    return answer.status === 200 ? jsonOf<InvocationFacts>(answer) : undefined;
  });
}

function codeOf(answer: Answer): [number, string] {
  return [answer.status, jsonOf<{ Code: string }>(answer).Code];
}

test('an invocation of a function that records its inputs runs again from what it was given', async (t) => {
  const platform = await startPlatform(t);
  await createFunction(platform, 'counter', { code: COUNTER, fields: RECORDS });

  const first = await invoke(platform, 'counter', 'ünïcode');
  assert.deepEqual(jsonOf<Counted>(first), { runs: 1, event: 'ünïcode' });
  const origin = requestIdOf(first);

  const again = await replay(platform, origin);
  assert.equal(again.status, 200, again.body.toString());
  assert.deepEqual(jsonOf<Counted>(again), { runs: 2, event: 'ünïcode' });
  const { trigger, kind, replayOf } = await factsOf(platform, requestIdOf(again));
  assert.deepEqual({ trigger, kind, replayOf }, { trigger: 'replay', kind: 'sync', replayOf: origin });

  const command = await platform.thaw(['invocation', 'replay', origin]);
  assert.equal(command.code, 0, command.stderr);
  assert.deepEqual(JSON.parse(command.stdout.toString()), { runs: 3, event: 'ünïcode' });

  const later = await replay(platform, origin, { 'x-fc-invocation-type': 'Async' });
  assert.equal(later.status, 202, later.body.toString());
  const task = String(later.headers['x-fc-async-task-id']);
  const result = await waitFor('the result of the replay', async () => {
    const path = `/thaw/v1/functions/counter/tasks/${task}/result`;
    const answer = await signedCall(platform, { method: 'GET', path });
    return answer.status === 200 ? jsonOf<Counted>(answer) : undefined;
  });
  assert.deepEqual(result, { runs: 4, event: 'ünïcode' });
  const ofTask = await factsOf(platform, requestIdOf(later));
  assert.deepEqual([ofTask.trigger, ofTask.kind, ofTask.replayOf], ['replay', 'async', origin]);

  await t.test('asynchronous invocations too, from the payload of their task', async () => {
    const headers = { 'x-fc-invocation-type': 'Async', 'x-fc-async-task-id': 'named' };
    const accepted = await invoke(platform, 'counter', 'later', { headers });
    await factsOf(platform, requestIdOf(accepted));
    assert.equal(jsonOf<Counted>(await replay(platform, requestIdOf(accepted))).event, 'later');
  });

  await t.test('the inputs survive the death of the platform, and go with their function', async () => {
    await platform.kill();
    const next = await startPlatform(t, { dataDir: platform.dataDir });
    assert.deepEqual(jsonOf<Counted>(await replay(next, origin)), { runs: 1, event: 'ünïcode' });
    const path = '/2023-03-30/functions/counter';
    assert.equal((await signedCall(next, { method: 'DELETE', path })).status, 204);
    await waitFor('the inputs to be gone', async () => {
      const [, code] = codeOf(await replay(next, origin));
      return code === 'InvocationInputNotRecorded' ? true : undefined;
    });
  });
});

test('requests of HTTP triggers run again with their head and body, and what is not kept says so', async (t) => {
  const platform = await startPlatform(t);
  await createFunction(platform, 'web', { code: WEB, fields: RECORDS });
  await createHttpTrigger(platform, 'web');
  await createFunction(platform, 'plain', { code: COUNTER });
  const path = '/http/web/web/a%20b?c=d';

  const headers = { 'x-mine': 'head' };
  // Large enough to be streamed.
  const body = Buffer.concat([Buffer.alloc(300_000), Buffer.from('end')]);
  const first = await send(platform.url, { method: 'PUT', path, headers, body });
  assert.equal(first.status, 201, first.body.toString());
  const again = await replay(platform, requestIdOf(first));
  assert.equal(again.status, 200, again.body.toString());
  assert.equal(again.headers['x-fc-http-status'], '201');
  assert.equal(again.headers['x-mine'], 'head');
  assert.deepEqual(jsonOf(again), {
    runs: 2,
    method: 'PUT',
    url: '/a%20b?c=d',
    length: body.length,
    end: 'end',
  });

  const large = await send(platform.url, { method: 'PUT', path, headers, body: Buffer.alloc(5_000_000) });
  assert.equal(large.status, 201);
  assert.deepEqual(codeOf(await replay(platform, requestIdOf(large))), [404, 'InvocationInputNotRecorded']);

  const unrecorded = await invoke(platform, 'plain', 'x');
  await factsOf(platform, requestIdOf(unrecorded));
  assert.deepEqual(codeOf(await replay(platform, requestIdOf(unrecorded))), [
    404,
    'InvocationInputNotRecorded',
  ]);
  assert.deepEqual(codeOf(await replay(platform, '1-0-0')), [404, 'InvocationNotFound']);
  const missing = await platform.thaw(['invocation', 'replay', requestIdOf(unrecorded)]);
  assert.equal(missing.code, 2);
  assert.match(missing.stderr, /THAW_RECORD_INPUTS=on/);

  const wrong = await signedCall(platform, {
    method: 'PUT',
    path: '/2023-03-30/functions/plain',
    body: JSON.stringify({ environmentVariables: { THAW_RECORD_INPUTS: 'yes' } }),
  });
  assert.equal(wrong.status, 400);
});
