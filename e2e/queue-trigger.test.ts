import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startPlatform, temporaryDirectory, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { openEventCollector, TELLING_FUNCTION } from './support/event-collector.ts';
import { createEventTrigger, triggerStatus } from './support/event-triggers.ts';
import { createFunction } from './support/functions.ts';
import { jsonOf, send, type Answer } from './support/http-call.ts';
import { signedCall } from './support/signed-call.ts';

const QUEUES = '/thaw/v1/queues';
const MESSAGES = 40;
const KILLS = 2;

interface Message {
  readonly messageId: string;
  readonly receiptHandle: string;
  readonly body: string;
  readonly receiveCount: number;
}

interface BatchEvent {
  readonly Records: readonly {
    readonly messageId: string;
    readonly body: string;
    readonly attributes: Readonly<Record<string, string>>;
    readonly messageAttributes: Readonly<Record<string, { readonly stringValue: string }>>;
    readonly eventSource: string;
    readonly eventSourceARN: string;
  }[];
}

test('queues', async (all) => {
  const platform = await startPlatform(all);
  await all.test('messages are sent, received, acknowledged and given back over HTTP', () =>
    overHttp(platform),
  );
  await all.test('batches go to a function; what fails comes again and then goes to the dead letters', () =>
    inBatches(platform),
  );
});

async function overHttp(platform: Platform): Promise<void> {
  const created = await call(platform, 'POST', QUEUES, { queueName: 'jobs', visibilityTimeoutSeconds: 60 });
  assert.equal(created.status, 201);
  const one = await call(platform, 'POST', `${QUEUES}/jobs/messages`, {
    body: 'one',
    attributes: { kind: 'a' },
  });
  assert.equal(one.status, 201);
  const two = await call(platform, 'POST', `${QUEUES}/jobs/messages`, {
    messages: [{ body: 'two' }, { body: 'later', delaySeconds: 3600 }],
  });
  assert.equal(jsonOf<{ messages: unknown[] }>(two).messages.length, 2);
  const first = await receive(platform, 'jobs', { maxMessages: 10 });
  assert.deepEqual(
    first.map(({ body, receiveCount }) => [body, receiveCount]),
    [
      ['one', 1],
      ['two', 1],
    ],
  );
  assert.deepEqual(await receive(platform, 'jobs'), []);
  const [done, back] = first.map(({ receiptHandle }) => receiptHandle);
  const acknowledged = await call(platform, 'POST', `${QUEUES}/jobs/acknowledge`, { receiptHandles: [done] });
  assert.deepEqual(jsonOf(acknowledged), { failed: [] });
  const entries = [{ receiptHandle: back, visibilityTimeoutSeconds: 0 }];
  assert.deepEqual(jsonOf(await call(platform, 'POST', `${QUEUES}/jobs/visibility`, { entries })), {
    failed: [],
  });
  const [again] = await receive(platform, 'jobs');
  assert.deepEqual([again?.body, again?.receiveCount], ['two', 2]);
  assert.deepEqual(jsonOf(await call(platform, 'POST', `${QUEUES}/jobs/visibility`, { entries })), {
    failed: [back],
  });
  const described = jsonOf<Record<string, unknown>>(await call(platform, 'GET', `${QUEUES}/jobs`));
  assert.deepEqual(
    ['messages', 'visible', 'inFlight', 'delayed', 'visibilityTimeoutSeconds'].map((name) => described[name]),
    [2, 0, 1, 1, 60],
  );

  // A receiver that waits gets what comes at once.
  const waiting = receive(platform, 'jobs', { waitSeconds: 60 });
  await call(platform, 'POST', `${QUEUES}/jobs/messages`, { body: 'awaited' });
  assert.deepEqual(
    (await waiting).map(({ body }) => body),
    ['awaited'],
  );

  // Without a signature: the access key by Basic authentication, and a body that is a message as it is.
  const { accessKeyId, accessKeySecret } = platform.credentials;
  const basic = (secret: string): string =>
    `Basic ${Buffer.from(`${accessKeyId}:${secret}`).toString('base64')}`;
  const plain = (authorization: string): Promise<Answer> =>
    send(platform.url, {
      method: 'POST',
      path: `${QUEUES}/jobs/messages`,
      headers: { authorization, 'content-type': 'text/plain' },
      body: 'plain text',
    });
  assert.equal((await plain(basic(accessKeySecret))).status, 201);
  assert.equal((await plain(basic('wrong'))).status, 403);
  assert.deepEqual(
    (await receive(platform, 'jobs')).map(({ body }) => body),
    ['plain text'],
  );

  const wrong: readonly [string, string, unknown, number, string][] = [
    ['POST', QUEUES, { queueName: 'jobs' }, 409, 'QUEUE_EXISTS'],
    ['POST', QUEUES, { queueName: '../x' }, 400, 'INVALID_ARGUMENT'],
    ['POST', QUEUES, { queueName: 'x', maxReceives: 3 }, 400, 'INVALID_ARGUMENT'],
    ['POST', QUEUES, { queueName: 'x', maxReceives: 3, deadLetterQueue: 'nowhere' }, 404, 'QUEUE_NOT_FOUND'],
    ['GET', `${QUEUES}/nowhere`, undefined, 404, 'QUEUE_NOT_FOUND'],
    ['POST', `${QUEUES}/nowhere/receive`, {}, 404, 'QUEUE_NOT_FOUND'],
    ['POST', `${QUEUES}/jobs/messages`, { body: 7 }, 400, 'INVALID_ARGUMENT'],
    ['POST', `${QUEUES}/jobs/messages`, { body: 'x'.repeat(300_000) }, 413, 'PAYLOAD_TOO_LARGE'],
    ['POST', `${QUEUES}/jobs/messages`, { messages: [] }, 400, 'INVALID_ARGUMENT'],
    ['POST', `${QUEUES}/jobs/acknowledge`, { receiptHandles: ['x'] }, 400, 'INVALID_ARGUMENT'],
    ['POST', `${QUEUES}/jobs/receive`, { maxMessages: 0 }, 400, 'INVALID_ARGUMENT'],
    ['POST', `${QUEUES}/jobs/fly`, {}, 404, 'PATH_NOT_SUPPORTED'],
    ['PUT', QUEUES, {}, 405, 'METHOD_NOT_ALLOWED'],
  ];
  for (const [method, path, body, status, code] of wrong) {
    const answer = await call(platform, method, path, body);
    assert.deepEqual(
      [answer.status, jsonOf<{ Code: string }>(answer).Code],
      [status, code],
      `${method} ${path}`,
    );
  }
}

async function inBatches(platform: Platform): Promise<void> {
  const thaw = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await platform.thaw(args);
    assert.equal(code, 0, stderr);
    return stdout.toString();
  };
  await createFunction(platform, 'worker', {
    code: `exports.handler = async (event) => {
      const { Records } = JSON.parse(event);
      console.log('BATCH ' + event);
      return { batchItemFailures: Records.filter(({ body }) => body === 'poison').map(({ messageId }) => ({ itemIdentifier: messageId })) };
    };`,
  });
  await createEventTrigger(platform, 'worker', {
    triggerName: 'jobs',
    triggerType: 'queue',
    config: { queueName: 'batches', batchSize: 5, batchWindowMs: 100 },
  });
  await waitFor('the trigger to say that there is no queue', async () => {
    const { status, problem } = await triggerStatus(platform, 'worker', 'jobs');
    return status === 'failing' && problem?.code === 'QUEUE_NOT_FOUND';
  });
  await thaw('queue', 'create', 'dead', '--visibility', '1s');
  await thaw('queue', 'create', 'batches', '--dead-letter', 'dead', '--max-receives', '2');
  const texts = ['a', 'b', 'poison', 'c', 'd', 'e'];
  const messages = texts.map((body) => ({ body, attributes: { of: 'test' } }));
  assert.equal((await call(platform, 'POST', `${QUEUES}/batches/messages`, { messages })).status, 201);
  await waitFor(
    'the poison to be among the dead letters',
    async () => (await queue(platform, 'dead')).messages === 1,
    60_000,
  );
  assert.match(await thaw('queue', 'list'), /dead +1/);
  await waitFor('the queue to be empty', async () => (await queue(platform, 'batches')).messages === 0);
  const batches = await batchesOf(platform, 'worker');
  const bodies = batches.flatMap(({ Records }) => Records.map(({ body }) => body));
  assert.deepEqual(bodies.toSorted(), [...texts, 'poison'].toSorted());
  assert(batches.every(({ Records }) => Records.length <= 5));
  const [record] = batches[0]?.Records ?? [];
  assert.deepEqual(
    [
      record?.eventSource,
      record?.attributes['ApproximateReceiveCount'],
      record?.messageAttributes['of']?.stringValue,
    ],
    ['thaw:queue', '1', 'test'],
  );
  assert.match(record?.eventSourceARN ?? '', /:queues\/batches$/);
  assert.match(await thaw('queue', 'receive', 'dead'), /poison/);
  await thaw('trigger', 'pause', 'worker', 'jobs');
  // The look at it made it invisible for a while.
  await waitFor(
    'the dead letter to be sent back',
    async () => /sent 1/.test(await thaw('queue', 'redrive', 'dead')),
    60_000,
  );
  assert.equal((await queue(platform, 'batches')).visible, 1, 'a paused trigger leaves it');
  assert.match(await thaw('queue', 'purge', 'batches'), /removed 1/);
  assert.match(await thaw('trigger', 'test', 'worker', 'jobs'), /batchItemFailures/);
}

test('a function that fails as a whole gets its batch again, and no message is lost when the platform is killed', async (t) => {
  const dataDir = await temporaryDirectory(t, 'thaw data ');
  const collector = await openEventCollector(t);
  let platform = await startPlatform(t, { dataDir, isolation: 'process' });
  await call(platform, 'POST', QUEUES, { queueName: 'jobs' });
  await createFunction(platform, 'worker', {
    code: TELLING_FUNCTION.replace(
      'async (event) => {',
      `async (event) => {
  if (Math.random() < 0.1) throw new Error('now and then');`,
    ),
    fields: { environmentVariables: { COLLECTOR: collector.url } },
  });
  await createEventTrigger(platform, 'worker', {
    triggerName: 'jobs',
    triggerType: 'queue',
    config: { queueName: 'jobs', batchSize: 3 },
  });
  const got = (): Set<string> =>
    new Set(
      collector.events.flatMap((text) => {
        const event: BatchEvent = JSON.parse(text);
        return event.Records.map(({ body }) => body);
      }),
    );
  const accepted: string[] = [];
  for (let kill = 1; kill <= KILLS; kill += 1) {
    const running = platform;
    const before = got().size;
    const bodies = Array.from({ length: MESSAGES }, (_, index) => `${kill}-${index}`);
    const sending = Promise.allSettled(
      bodies.map(async (body) => {
        const answer = await call(running, 'POST', `${QUEUES}/jobs/messages`, { body });
        if (answer.status === 201) accepted.push(body);
      }),
    );
    await waitFor('some of them to arrive', () => got().size >= before + 5);
    await platform.kill();
    await sending;
    platform = await startPlatform(t, { dataDir, isolation: 'process' });
  }
  assert(accepted.length > 0);
  await waitFor('every accepted message to arrive', () => accepted.every((body) => got().has(body)), 120_000);
});

async function call(platform: Platform, method: string, path: string, body?: unknown): Promise<Answer> {
  return signedCall(platform, {
    method,
    path,
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
}

async function receive(platform: Platform, name: string, options: object = {}): Promise<readonly Message[]> {
  const answer = await call(platform, 'POST', `${QUEUES}/${name}/receive`, options);
  assert.equal(answer.status, 200, answer.body.toString());
  return jsonOf<{ messages: readonly Message[] }>(answer).messages;
}

async function queue(platform: Platform, name: string): Promise<{ messages: number; visible: number }> {
  return jsonOf(await call(platform, 'GET', `${QUEUES}/${name}`));
}

async function batchesOf(platform: Platform, functionName: string): Promise<readonly BatchEvent[]> {
  const { stdout } = await platform.thaw(['logs', functionName]);
  return stdout
    .toString()
    .split('\n')
    .filter((line) => line.includes('BATCH {'))
    .map((line) => {
      const event: BatchEvent = JSON.parse(line.slice(line.indexOf('BATCH ') + 'BATCH '.length));
      return event;
    });
}
