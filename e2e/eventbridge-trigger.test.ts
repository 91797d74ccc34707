import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { startPlatform, temporaryDirectory, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { CloudEvent, emitterFor, HTTP, httpTransport, Mode, type EmitterFunction } from 'cloudevents';
import { missingNpmIndex, missingSandbox } from './fixtures/requirements.ts';
import { installedPackages } from './outside/npm-package.ts';
import { openEventCollector, TELLING_FUNCTION } from './support/event-collector.ts';
import { createEventTrigger } from './support/event-triggers.ts';
import { createFunction } from './support/functions.ts';
import { send, type Answer } from './support/http-call.ts';
import { signedCall } from './support/signed-call.ts';

const DEFAULT_EVENTS = '/thaw/v1/events';
const FRAMEWORK = { '@google-cloud/functions-framework': '5.0.5' };
/** What a function on the framework needs to start on a machine that is busy. */
const FRAMEWORK_MS_MAX = 120_000;

interface StoredEvent {
  readonly id: string;
  readonly type: string;
  readonly data?: unknown;
  readonly [attribute: string]: unknown;
}

test('the official library sends events in every mode to whoever wants them', async (t) => {
  const collector = await openEventCollector(t);
  const platform = await startPlatform(t, { isolation: 'process' });
  const environmentVariables = { COLLECTOR: collector.url };
  for (const name of ['all', 'orders']) {
    const code = TELLING_FUNCTION.replace('body: event', `body: '${name} ' + event`);
    await createFunction(platform, name, { code, fields: { environmentVariables } });
  }
  await createEventTrigger(platform, 'all', { triggerName: 'bus', triggerType: 'eventbridge', config: {} });
  await createEventTrigger(platform, 'orders', {
    triggerName: 'bus',
    triggerType: 'eventbridge',
    config: { pattern: { type: [{ prefix: 'shop.order.' }], data: { total: [{ numeric: ['>=', 100] }] } } },
  });
  await createEventTrigger(platform, 'orders', {
    triggerName: 'other',
    triggerType: 'eventbridge',
    config: { eventBusName: 'other', filters: [{ exact: { type: 'shop.closed' } }] },
  });
  const emit = emitter(platform, DEFAULT_EVENTS, Mode.BINARY);
  const emitStructured = emitter(platform, DEFAULT_EVENTS, Mode.STRUCTURED);
  const order = (id: string, total: number): CloudEvent<unknown> =>
    new CloudEvent({ id, source: '/shop', type: 'shop.order.created', tenant: 'a', data: { total } });
  await emit(order('small', 5));
  await emit(order('large', 100));
  await emitStructured(order('structured', 500));
  const batch = [order('b1', 1), order('b2', 1000)].map((event) => event.toJSON());
  const accepted = await publish(
    platform,
    DEFAULT_EVENTS,
    'application/cloudevents-batch+json',
    JSON.stringify(batch),
  );
  assert.equal(accepted.status, 202);
  await emitter(
    platform,
    '/thaw/v1/event-buses/other/events',
    Mode.BINARY,
  )(new CloudEvent({ id: 'closed', source: '/shop', type: 'shop.closed' }));
  const got = (name: string): StoredEvent[] =>
    collector.events
      .filter((text) => text.startsWith(`${name} `))
      .map((text) => {
        const event: StoredEvent = JSON.parse(text.slice(name.length + 1));
        return event;
      });
  const ids = (name: string): string[] => [...new Set(got(name).map(({ id }) => id))].toSorted();
  await waitFor('every event', () => ids('all').length === 5 && ids('orders').length === 4);
  assert.deepEqual(ids('all'), ['b1', 'b2', 'large', 'small', 'structured']);
  assert.deepEqual(ids('orders'), ['b2', 'closed', 'large', 'structured']);
  const { time, ...small } = got('all').find(({ id }) => id === 'small') ?? assert.fail('the small order');
  assert.equal(typeof time, 'string');
  assert.deepEqual(small, {
    specversion: '1.0',
    id: 'small',
    source: '/shop',
    type: 'shop.order.created',
    tenant: 'a',
    datacontenttype: 'application/json; charset=utf-8',
    data: { total: 5 },
  });
});

test('event buses', async (all) => {
  const platform = await startPlatform(all);
  await all.test('what cannot be taken is refused with its reason', () => whatIsRefused(platform));
  await all.test(
    'a function publishes on the buses and sends to the queues that it was granted, and on no others',
    (t) => fromFunctions(t, platform),
  );
  await all.test('an unmodified function of the functions framework gets events', (t) =>
    onTheFramework(t, platform),
  );
});

async function whatIsRefused(platform: Platform): Promise<void> {
  await createFunction(platform, 'f', { code: 'exports.handler = async () => 1;' });
  const event = JSON.stringify({ specversion: '1.0', id: '1', source: '/x', type: 'x' });
  const structured = 'application/cloudevents+json';
  for (const [path, contentType, body, status, message] of [
    [DEFAULT_EVENTS, structured, event, 202, /^$/],
    [DEFAULT_EVENTS, structured, '{}', 400, /lacks/],
    [DEFAULT_EVENTS, structured, '{', 400, /JSON/],
    [DEFAULT_EVENTS, 'application/json', event, 400, /no CloudEvent/],
    ['/thaw/v1/event-buses/nobody/events', structured, event, 404, /no event bus 'nobody'/],
    ['/thaw/v1/event-buses/default/fly', structured, event, 404, /nothing at/],
  ] as const) {
    const answer = await publish(platform, path, contentType, body);
    assert.equal(answer.status, status, `${path} ${body}: ${answer.body.toString()}`);
    assert.match(answer.body.toString(), message);
  }
  const headers = { 'content-type': structured };
  const stranger = await send(platform.url, { method: 'POST', path: DEFAULT_EVENTS, headers, body: event });
  assert.equal(stranger.status, 403);
  const signed = await signedCall(platform, { method: 'POST', path: DEFAULT_EVENTS, headers, body: event });
  assert.equal(signed.status, 202, 'a signature does as well');
  await assert.rejects(
    createEventTrigger(platform, 'f', {
      triggerName: 'bad',
      triggerType: 'eventbridge',
      config: { pattern: { type: 'x' } },
    }),
    /pattern\.type must be an object/,
  );
}

test('an event that was accepted is delivered although the platform is killed', async (t) => {
  const dataDir = await temporaryDirectory(t, 'thaw data ');
  const collector = await openEventCollector(t);
  const first = await startPlatform(t, { dataDir, isolation: 'process' });
  const environmentVariables = { COLLECTOR: collector.url };
  await createFunction(first, 'f', { code: TELLING_FUNCTION, fields: { environmentVariables } });
  await createEventTrigger(first, 'f', { triggerName: 'bus', triggerType: 'eventbridge', config: {} });
  const wanted = Array.from({ length: 30 }, (_, index) => `e${index}`);
  const events = wanted.map((id) => ({ specversion: '1.0', id, source: '/x', type: 'x' }));
  const answer = await publish(
    first,
    DEFAULT_EVENTS,
    'application/cloudevents-batch+json',
    JSON.stringify(events),
  );
  assert.equal(answer.status, 202);
  await first.kill();
  await startPlatform(t, { dataDir, isolation: 'process' });
  await waitFor(
    'every event',
    () => {
      const got = new Set(collector.events.map((text) => idOf(text)));
      return wanted.every((id) => got.has(id));
    },
    90_000,
  );
});

async function fromFunctions(t: TestContext, platform: Platform): Promise<void> {
  const noSandbox = await missingSandbox(platform);
  if (noSandbox !== undefined) return t.skip(noSandbox);
  const queue = { method: 'POST', path: '/thaw/v1/queues', body: '{"queueName":"jobs"}' };
  assert.equal((await signedCall(platform, queue)).status, 201);
  await createFunction(platform, 'speaker', {
    code: `exports.handler = async (event) => {
      const { path, type, body } = JSON.parse(event);
      const answer = await fetch(process.env.THAW_ENDPOINT + path, {
        method: 'POST',
        headers: { authorization: 'Bearer ' + process.env.THAW_SECURITY_TOKEN, 'content-type': type },
        body: JSON.stringify(body),
      });
      return String(answer.status);
    };`,
    fields: { environmentVariables: { THAW_EVENT_BUSES: 'default', THAW_QUEUES: 'jobs' } },
  });
  await createFunction(platform, 'hearer', {
    code: `exports.handler = async (event) => console.log('HEARD ' + JSON.parse(event).id);`,
  });
  await createEventTrigger(platform, 'hearer', {
    triggerName: 'bus',
    triggerType: 'eventbridge',
    config: {},
  });
  const speak = async (path: string, body: object, type = 'application/json'): Promise<string> => {
    const { stdout, stderr } = await platform.thaw([
      'invoke',
      'speaker',
      '-d',
      JSON.stringify({ path, type, body }),
    ]);
    return stdout.toString() || stderr;
  };
  const event = { specversion: '1.0', id: 'from-inside', source: '/speaker', type: 'x' };
  assert.equal(await speak(DEFAULT_EVENTS, event, 'application/cloudevents+json'), '202');
  assert.equal(await speak('/thaw/v1/queues/jobs/messages', { body: 'hello' }), '201');
  assert.equal(await speak('/thaw/v1/queues/jobs/receive', {}), '200');
  assert.equal(await speak('/thaw/v1/queues/jobs/purge', {}), '403');
  assert.equal(await speak('/thaw/v1/queues/other/messages', { body: 'hello' }), '403');
  assert.equal(
    await speak('/thaw/v1/event-buses/other/events', event, 'application/cloudevents+json'),
    '403',
  );
  assert.equal(await speak('/thaw/v1/functions/hearer/triggers/bus/pause', {}), '404');
  await waitFor('the other function to hear it', async () =>
    (await platform.thaw(['logs', 'hearer'])).stdout.toString().includes('HEARD from-inside'),
  );
}

async function onTheFramework(t: TestContext, platform: Platform): Promise<void> {
  const noIndex = await missingNpmIndex();
  if (noIndex !== undefined) return t.skip(noIndex);
  const packages = await installedPackages(t, FRAMEWORK);
  await createFunction(platform, 'framework', {
    code: {
      ...packages,
      'package.json': '{"main":"index.js"}',
      'index.js': `
        const functions = require('@google-cloud/functions-framework');
        functions.cloudEvent('hello', (event) => {
          console.log('GOT ' + JSON.stringify({ id: event.id, type: event.type, subject: event.subject, data: event.data }));
        });`,
    },
    fields: {
      runtime: 'custom',
      memorySize: 512,
      timeout: 60,
      customRuntimeConfig: {
        command: ['node', 'node_modules/@google-cloud/functions-framework/build/src/main.js'],
        args: ['--target=hello', '--port=9000'],
        port: 9000,
      },
    },
  });
  await createEventTrigger(platform, 'framework', {
    triggerName: 'bus',
    triggerType: 'eventbridge',
    config: {},
  });
  const data = { name: 'Ada', list: [1, 2] };
  await emitter(
    platform,
    DEFAULT_EVENTS,
    Mode.STRUCTURED,
  )(new CloudEvent({ id: 'one', source: '/test', type: 'com.example.greeting', subject: 'a subject', data }));
  const line = await waitFor(
    'the function to get it',
    async () =>
      (await platform.thaw(['logs', 'framework'])).stdout
        .toString()
        .split('\n')
        .find((each) => each.includes('GOT {')),
    FRAMEWORK_MS_MAX,
  );
  assert.deepEqual(JSON.parse(line.slice(line.indexOf('GOT ') + 'GOT '.length)), {
    id: 'one',
    type: 'com.example.greeting',
    subject: 'a subject',
    data,
  });
  const tried = await platform.thaw(['trigger', 'test', 'framework', 'bus']);
  assert.equal(tried.code, 0, tried.stderr);
}

/** Sends as the library does, with the platform's key by Basic authentication. */
function emitter(platform: Platform, path: string, mode: Mode): EmitterFunction {
  const transport = httpTransport(platform.url + path);
  const authorization = basic(platform);
  const binding = { ...HTTP };
  return emitterFor(
    async (message, options) => {
      const headers = { ...message.headers, authorization };
      const answer = await transport({ ...message, body: message.body ?? '', headers }, options);
      return answer;
    },
    { binding, mode },
  );
}

function basic({ credentials }: Platform): string {
  const { accessKeyId, accessKeySecret } = credentials;
  return `Basic ${Buffer.from(`${accessKeyId}:${accessKeySecret}`).toString('base64')}`;
}

async function publish(platform: Platform, path: string, contentType: string, body: string): Promise<Answer> {
  const headers = { authorization: basic(platform), 'content-type': contentType };
  return send(platform.url, { method: 'POST', path, headers, body });
}

function idOf(text: string): string {
  const event: StoredEvent = JSON.parse(text);
  return event.id;
}
