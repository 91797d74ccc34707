import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startPlatform, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { CloudEvent, HTTP, type Mode } from 'cloudevents';
import { build } from 'esbuild';
import { missingSandbox } from './fixtures/requirements.ts';
import { openEventCollector, TELLING_FUNCTION } from './support/event-collector.ts';
import { createEventTrigger } from './support/event-triggers.ts';
import { API, createFunction } from './support/functions.ts';
import { jsonOf } from './support/http-call.ts';
import { signedCall } from './support/signed-call.ts';

/** A function may start slowly on a machine that is busy. */
const DELIVERY_MS_MAX = 90_000;

/** A web server on the official library: it answers each event with another one, in the mode that its data names. */
const SERVER = `
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { CloudEvent, HTTP } from 'cloudevents';
createServer(async (request, response) => {
  const event = HTTP.toEvent({ headers: request.headers, body: await text(request) });
  const { mode } = event.data;
  const reply = new CloudEvent({ id: mode, source: '/server', type: 'test.answered', tenant: event.tenant, data: { mode } });
  const { headers, body } = mode === 'binary' ? HTTP.binary(reply) : HTTP.structured(reply);
  if (mode === 'none') response.end('thank you');
  else response.writeHead(200, headers).end(body);
}).listen(9000);
`;

interface Task {
  readonly requestId: string;
  readonly destinationStatus: string;
}

test('what functions answer events with goes to the bus that their trigger names', async (t) => {
  const collector = await openEventCollector(t);
  const platform = await startPlatform(t, { isolation: 'process' });
  await createFunction(platform, 'hearer', {
    code: TELLING_FUNCTION,
    fields: { environmentVariables: { COLLECTOR: collector.url } },
  });
  await createEventTrigger(platform, 'hearer', {
    triggerName: 'bus',
    triggerType: 'eventbridge',
    config: { eventBusName: 'answers' },
  });
  await createFunction(platform, 'doubler', {
    code: `exports.handler = async (event) => {
      const { id, data: { n } } = JSON.parse(event);
      if (n < 0) return { specversion: '1.0', type: 'test.doubled' };
      if (n === 0) return 'nothing';
      return { specversion: '1.0', id: 'double-' + id, source: '/doubler', type: 'test.doubled', data: { n: 2 * n } };
    };`,
  });
  const number = { pattern: { type: ['test.number'] } };
  await createEventTrigger(platform, 'doubler', {
    triggerName: 'asked',
    triggerType: 'eventbridge',
    config: { ...number, replyEventBusName: 'answers' },
  });
  await createFunction(platform, 'silent', {
    code: `exports.handler = async () => ({ specversion: '1.0', id: 'unasked', source: '/silent', type: 'test.doubled' });`,
  });
  await createEventTrigger(platform, 'silent', {
    triggerName: 'unasked',
    triggerType: 'eventbridge',
    config: number,
  });
  for (const n of [-1, 0, 1, 2]) {
    await publish(
      platform,
      new CloudEvent({ id: `e${n}`, source: '/test', type: 'test.number', data: { n } }),
    );
  }
  await waitFor('both answers', () => collector.events.length === 2, DELIVERY_MS_MAX);
  const heard = collector.events.map((text) => new CloudEvent<{ n: number }>(JSON.parse(text)));
  assert.deepEqual(
    heard.toSorted(byId).map(({ id, source, type, data }) => [id, source, type, data]),
    [
      ['double-e1', '/doubler', 'test.doubled', { n: 2 }],
      ['double-e2', '/doubler', 'test.doubled', { n: 4 }],
    ],
  );
  const statuses = await waitFor('all to be handed on', async () => {
    const told = (await tasksOf(platform, 'doubler')).map(({ destinationStatus }) => destinationStatus);
    return told.filter((status) => status !== '').length === 3 && told.toSorted();
  });
  assert.deepEqual(statuses.toSpliced(1, 1), ['', 'Succeeded', 'Succeeded']);
  assert.match(statuses[1] ?? '', /^Failed: the answer was not published: .*lacks id, source/u);
  assert.deepEqual(
    (await tasksOf(platform, 'silent')).map(({ destinationStatus }) => destinationStatus),
    ['', '', '', ''],
  );
});

test('a circle of answers ends', async (t) => {
  const platform = await startPlatform(t, { isolation: 'process' });
  await createFunction(platform, 'echo', { code: 'exports.handler = async (event) => event;' });
  await createEventTrigger(platform, 'echo', {
    triggerName: 'circle',
    triggerType: 'eventbridge',
    config: { replyEventBusName: 'default' },
  });
  await publish(platform, new CloudEvent({ id: 'round', source: '/test', type: 'test.echo' }));
  const tasks = await waitFor(
    'the circle to end',
    async () => {
      const found = await tasksOf(platform, 'echo');
      return found.some(({ destinationStatus }) => destinationStatus.startsWith('Failed')) && found;
    },
    DELIVERY_MS_MAX,
  );
  assert.equal(tasks.length, 17);
  const [failure, ...others] = tasks.map(({ destinationStatus }) => destinationStatus).toSorted();
  assert.match(failure ?? '', /more than 16 answers have led to it/u);
  assert.deepEqual(new Set(others), new Set(['Succeeded']));
});

test('a web server on the official library answers in both modes', async (t) => {
  const platform = await startPlatform(t);
  const noSandbox = await missingSandbox(platform);
  if (noSandbox !== undefined) return t.skip(noSandbox);
  const resolveDir = import.meta.dirname;
  const { outputFiles } = await build({
    stdin: { contents: SERVER, resolveDir },
    bundle: true,
    platform: 'node',
    format: 'cjs',
    write: false,
  });
  await createFunction(platform, 'server', {
    code: { 'server.js': outputFiles[0]?.text ?? '' },
    fields: {
      runtime: 'custom',
      customRuntimeConfig: { command: ['node', 'server.js'], port: 9000 },
      environmentVariables: { THAW_RECORD_INPUTS: 'on' },
    },
  });
  await createEventTrigger(platform, 'server', {
    triggerName: 'asked',
    triggerType: 'eventbridge',
    config: { pattern: { type: ['test.asked'] }, replyEventBusName: 'default' },
  });
  await createFunction(platform, 'hearer', {
    code: `exports.handler = async (event) => console.log('HEARD ' + event);`,
  });
  await createEventTrigger(platform, 'hearer', {
    triggerName: 'bus',
    triggerType: 'eventbridge',
    config: { pattern: { type: ['test.answered'] } },
  });
  for (const mode of ['none', 'binary', 'structured']) {
    const data = { mode };
    await publish(
      platform,
      new CloudEvent({ id: mode, source: '/test', type: 'test.asked', tenant: 'a', data }),
    );
  }
  const heard = await waitFor(
    'both answers',
    async () => {
      const { stdout } = await platform.thaw(['logs', 'hearer']);
      const lines = stdout
        .toString()
        .split('\n')
        .filter((line) => line.includes('HEARD {'));
      return lines.length === 2 && lines.map((line) => JSON.parse(line.slice(line.indexOf('HEARD ') + 6)));
    },
    DELIVERY_MS_MAX,
  );
  const events = heard.map((event) => new CloudEvent<{ mode: Mode }>(event));
  assert.deepEqual(
    events.toSorted(byId).map(({ id, source, data, tenant }) => [id, source, data?.mode, tenant]),
    [
      ['binary', '/server', 'binary', 'a'],
      ['structured', '/server', 'structured', 'a'],
    ],
  );
  for (const event of events) assert.equal(event.validate(), true);

  // A replay is the same event once more, whose answer goes to who asked for the replay.
  const [{ requestId } = assert.fail('a task')] = await tasksOf(platform, 'server');
  const replay = { method: 'POST', path: `/thaw/v1/invocations/${requestId}/replay` };
  const again = await waitFor('its input to be kept', async () => {
    const answer = await signedCall(platform, replay);
    return answer.status !== 404 && answer;
  });
  assert.equal(again.status, 200, again.body.toString());
  assert.equal(jsonOf<{ id: string }>(again).id, 'structured');
});

function byId(left: { readonly id: string }, right: { readonly id: string }): number {
  return left.id.localeCompare(right.id);
}

async function publish(platform: Platform, event: CloudEvent<unknown>): Promise<void> {
  const { headers, body } = HTTP.structured(event);
  const answer = await signedCall(platform, {
    method: 'POST',
    path: '/thaw/v1/events',
    headers: { 'content-type': String(headers['content-type']) },
    body: String(body),
  });
  assert.equal(answer.status, 202, answer.body.toString());
}

async function tasksOf(platform: Platform, functionName: string): Promise<readonly Task[]> {
  const path = `${API}/functions/${functionName}/async-tasks`;
  const answer = await signedCall(platform, { method: 'GET', path, query: 'limit=100' });
  return jsonOf<{ tasks: readonly Task[] }>(answer).tasks;
}
