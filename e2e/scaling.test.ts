import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from '@alicloud/fc20230330';
import {
  fcClient,
  startPlatform,
  temporaryDirectory,
  type FcClient,
  type Platform,
} from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { API, createFunction, createHttpTrigger, invoke } from './support/functions.ts';
import { jsonOf, send, type Answer } from './support/http-call.ts';
import { signedCall } from './support/signed-call.ts';

const WHO = `exports.handler = async (event) => {
  const ms = Number(event.toString() || 0);
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
  return process.env.FC_INSTANCE_ID;
};`;

/** Behind a trigger: names its instance, and what the platform told it of its session. */
const WHO_HTTP = `exports.handler = (request, response) => {
  response.setHeader('content-type', 'application/json');
  const { cookie, session } = request.headers;
  response.send(JSON.stringify({ instance: process.env.FC_INSTANCE_ID, cookie, session }));
};`;

interface Session {
  readonly instance: string;
  readonly cookie?: string;
  readonly session?: string;
}

async function instancesOf(platform: Platform, functionName: string): Promise<string[]> {
  const answer = await signedCall(platform, {
    method: 'GET',
    path: `${API}/functions/${functionName}/instances`,
  });
  return jsonOf<{ instances: { instanceId: string }[] }>(answer).instances.map(
    ({ instanceId }) => instanceId,
  );
}

async function metric(platform: Platform, line: RegExp): Promise<number | undefined> {
  const { accessKeyId, accessKeySecret } = platform.credentials;
  const authorization = `Basic ${Buffer.from(`${accessKeyId}:${accessKeySecret}`).toString('base64')}`;
  const text = (await send(platform.url, { path: '/metrics', headers: { authorization } })).body.toString();
  const value = line.exec(text)?.[1];
  return value === undefined ? undefined : Number(value);
}

function putConcurrency(
  platform: Platform,
  functionName: string,
  reservedConcurrency: number,
): Promise<Answer> {
  return signedCall(platform, {
    method: 'PUT',
    path: `${API}/functions/${functionName}/concurrency`,
    body: JSON.stringify({ reservedConcurrency }),
  });
}

async function provisionOf(client: FcClient, functionName: string, qualifier: string) {
  const request = new fc.GetProvisionConfigRequest({ qualifier });
  const { target, current, currentError } =
    (await client.getProvisionConfig(functionName, request)).body ?? {};
  return { target, current, currentError };
}

test('a burst of 1,000 on a function limited to 10 keeps to 10 and answers or refuses every one', async (t) => {
  const platform = await startPlatform(t);
  await createFunction(platform, 'burst', { code: WHO });
  const url = await createHttpTrigger(platform, 'burst');
  assert.equal((await putConcurrency(platform, 'burst', 10)).status, 200);
  const agent = new Agent({ keepAlive: true, maxSockets: 1_000 });
  t.after(() => agent.destroy());
  let mostInstances = 0;
  const over = new AbortController();
  const watching = (async () => {
    while (!over.signal.aborted) {
      mostInstances = Math.max(mostInstances, (await instancesOf(platform, 'burst')).length);
    }
  })();
  // 30 more than may run and wait together.
  const answers = await Promise.all(
    Array.from({ length: 1_040 }, () =>
      send(platform.url, { method: 'POST', path: new URL(url).pathname, body: '5', agent }),
    ),
  );
  over.abort();
  await watching;
  const refused = answers.filter(({ status }) => status === 429);
  const served = answers.filter(({ status }) => status === 200);
  assert.equal(served.length + refused.length, 1_040);
  assert.ok(served.length >= 1_000, `${served.length} were served`);
  for (const { headers, body } of refused) {
    assert.equal(headers['retry-after'], '1');
    assert.equal(jsonOf<{ Code: string }>({ body }).Code, 'ResourceThrottled');
  }
  const instances = new Set(served.map(({ headers }) => headers['x-fc-instance-id']));
  assert.ok(instances.size >= 1 && instances.size <= 10, `${instances.size} instances answered`);
  assert.ok(mostInstances <= 10, `${mostInstances} instances at a time`);
  assert.ok((await instancesOf(platform, 'burst')).length <= 10);
  assert.equal(
    (await metric(platform, /^thaw_throttled_requests_total\{function="burst"\} (\d+)$/m)) ?? 0,
    refused.length,
  );
});

test('reserved concurrency takes effect at once, spares what runs, and 0 switches a function off', async (t) => {
  const platform = await startPlatform(t);
  await createFunction(platform, 'limited', { code: WHO, fields: { instanceConcurrency: 5 } });
  await putConcurrency(platform, 'limited', 0);
  const off = await invoke(platform, 'limited');
  assert.equal(off.status, 429);
  assert.equal(off.headers['retry-after'], '1');
  await putConcurrency(platform, 'limited', 2);
  // Three at once on one instance with five slots: two run, the third waits for one of them.
  const three = await Promise.all([1, 2, 3].map(() => invoke(platform, 'limited', '300')));
  assert.deepEqual(
    three.map(({ status }) => status),
    [200, 200, 200],
  );
  assert.equal(new Set(three.map(({ body }) => body.toString())).size, 1);
  const running = invoke(platform, 'limited', '1000');
  await waitFor('the call to run', () =>
    metric(platform, /^thaw_instances\{function="limited",state="busy"\} (\d+)$/m),
  );
  await putConcurrency(platform, 'limited', 0);
  assert.equal((await running).status, 200);
  assert.equal((await invoke(platform, 'limited')).status, 429);
  await signedCall(platform, { method: 'DELETE', path: `${API}/functions/limited/concurrency` });
  assert.equal((await invoke(platform, 'limited')).status, 200);
});

test('provisioned instances are there before the first call, are replaced, and follow an update', async (t) => {
  const platform = await startPlatform(t);
  const client = fcClient(platform);
  await createFunction(platform, 'ready', { code: WHO, fields: { idleTimeout: 1 } });
  await assert.rejects(provisionOf(client, 'ready', 'LATEST'), { code: 'ProvisionConfigNotFound' });
  const put = await client.putProvisionConfig(
    'ready',
    new fc.PutProvisionConfigRequest({
      qualifier: 'LATEST',
      body: new fc.PutProvisionConfigInput({ target: 2 }),
    }),
  );
  assert.equal(put.body?.target, 2);
  assert.equal(put.body.functionArn?.endsWith('functions/ready/LATEST'), true);
  const isThere = async (): Promise<boolean> => (await provisionOf(client, 'ready', 'LATEST')).current === 2;
  await waitFor('two instances', isThere);
  const warm = await invoke(platform, 'ready');
  assert.doesNotMatch(String(warm.headers['server-timing']), /boot;/);
  const before = await instancesOf(platform, 'ready');
  assert.equal(before.length, 2);
  assert.ok(before.includes(warm.body.toString()));

  await signedCall(platform, {
    method: 'PUT',
    path: `${API}/functions/ready`,
    body: JSON.stringify({ environmentVariables: { CHANGED: 'yes' } }),
  });
  await waitFor('instances of the new revision', async () => {
    const now = await instancesOf(platform, 'ready');
    return now.length === 2 && !now.some((id) => before.includes(id)) && (await isThere());
  });
  const exiting = await createFunction(platform, 'dying', {
    code: `exports.handler = () => process.exit(3);`,
  });
  await client.putScalingConfig(
    exiting,
    new fc.PutScalingConfigRequest({
      qualifier: 'LATEST',
      body: new fc.PutScalingConfigInput({ minInstances: 1 }),
    }),
  );
  const [first] = await waitFor('an instance', async () => {
    const now = await instancesOf(platform, exiting);
    return now.length === 1 && now;
  });
  await invoke(platform, exiting);
  await waitFor('another in its place', async () => {
    const now = await instancesOf(platform, exiting);
    return now.length === 1 && now[0] !== first;
  });
  const scaling = await client.getScalingConfig(
    exiting,
    new fc.GetScalingConfigRequest({ qualifier: 'LATEST' }),
  );
  assert.equal(scaling.body?.targetInstances, 1);
  assert.equal(
    await metric(
      platform,
      /^thaw_provisioned_instances\{function="ready",qualifier="LATEST",figure="current"\} (\d+)$/m,
    ),
    2,
  );
  await client.deleteProvisionConfig('ready', new fc.DeleteProvisionConfigRequest({ qualifier: 'LATEST' }));
  // Its idle timeout, one second, counts again.
  await waitFor('them to idle out', async () => (await instancesOf(platform, 'ready')).length === 0);
});

test('a schedule sets the number of provisioned instances; what cannot start says why', async (t) => {
  const platform = await startPlatform(t);
  const client = fcClient(platform);
  await createFunction(platform, 'timed', { code: WHO });
  const soon = new Date(Date.now() + 2_000).toISOString().slice(0, 19);
  const put = (scheduleExpression: string) =>
    client.putProvisionConfig(
      'timed',
      new fc.PutProvisionConfigRequest({
        qualifier: 'LATEST',
        body: new fc.PutProvisionConfigInput({
          defaultTarget: 0,
          scheduledActions: [new fc.ScheduledAction({ name: 'soon', target: 1, scheduleExpression })],
        }),
      }),
    );
  await assert.rejects(put('every now and then'), { code: 'InvalidArgument' });
  await put(`at(${soon})`);
  await waitFor('the time to come', async () => {
    const { target, current } = await provisionOf(client, 'timed', 'LATEST');
    return target === 1 && current === 1;
  });

  await createFunction(platform, 'broken', { code: `throw new Error('no luck today');` });
  await client.putProvisionConfig(
    'broken',
    new fc.PutProvisionConfigRequest({
      qualifier: 'LATEST',
      body: new fc.PutProvisionConfigInput({ defaultTarget: 1 }),
    }),
  );
  await waitFor('the reason', async () => {
    const { current, currentError } = await provisionOf(client, 'broken', 'LATEST');
    return current === 0 && currentError?.includes('no luck today');
  });
});

test('a session stays on its instance, by header and by cookie', async (t) => {
  const platform = await startPlatform(t);
  const affinity = (kind: string, config: object): object => ({
    fields: {
      instanceConcurrency: 2,
      sessionAffinity: kind,
      sessionAffinityConfig: JSON.stringify({ sessionConcurrencyPerInstance: 1, ...config }),
      environmentVariables: { THAW_HANDLER_TYPE: 'http' },
    },
  });
  await assert.rejects(
    createFunction(platform, 'wrong', { code: WHO_HTTP, ...affinity('HEADER_FIELD', {}) }),
    /sessionAffinityConfig\.affinityHeaderFieldName must be 5 to 40 letters/,
  );

  await createFunction(platform, 'chat', {
    code: WHO_HTTP,
    ...affinity('HEADER_FIELD', { affinityHeaderFieldName: 'session' }),
  });
  const chat = new URL(await createHttpTrigger(platform, 'chat')).pathname;
  const say = (session: string): Promise<Answer> => send(platform.url, { path: chat, headers: { session } });
  const instanceOf = (answer: Answer): string => jsonOf<Session>(answer).instance;
  const anna = instanceOf(await say('anna'));
  const bert = instanceOf(await say('bert'));
  assert.notEqual(anna, bert);
  for (let count = 0; count < 5; count += 1) {
    const [again, other] = await Promise.all([say('anna'), say('bert')]);
    assert.deepEqual([instanceOf(again), instanceOf(other)], [anna, bert]);
  }
  const unnamed = await send(platform.url, { path: chat });
  const name = String(unnamed.headers['session']);
  assert.equal(jsonOf<Session>(unnamed).session, name);
  assert.equal(instanceOf(await say(name)), instanceOf(unnamed));
  assert.equal((await say('-')).status, 400);

  await createFunction(platform, 'shop', { code: WHO_HTTP, ...affinity('GENERATED_COOKIE', {}) });
  const shop = new URL(await createHttpTrigger(platform, 'shop')).pathname;
  const visits = [await send(platform.url, { path: shop }), await send(platform.url, { path: shop })];
  assert.equal(new Set(visits.map(instanceOf)).size, 2);
  for (const visit of visits) {
    const [cookie = ''] = visit.headers['set-cookie']?.[0]?.split(';') ?? [];
    assert.match(cookie, /^x-fc-session-id=[0-9a-f]{32}$/);
    assert.equal(jsonOf<Session>(visit).cookie, cookie);
    const again = await send(platform.url, { path: shop, headers: { cookie } });
    assert.equal(instanceOf(again), instanceOf(visit));
    assert.equal(again.headers['set-cookie'], undefined);
  }
});

test('a file says how many instances its function keeps ready and has at most', async (t) => {
  const platform = await startPlatform(t);
  const directory = await temporaryDirectory(t);
  await writeFile(join(directory, 'index.js'), WHO);
  await writeFile(
    join(directory, 's.yaml'),
    `edition: 3.0.0
name: scaling
resources:
  filed:
    component: fc3
    props:
      functionName: filed
      runtime: nodejs20
      handler: index.handler
      memorySize: 128
      code: ./
      concurrencyConfig: { reservedConcurrency: 3 }
      provisionConfig:
        defaultTarget: 1
        targetTrackingPolicies: [{ name: busy, metricType: CPUUtilization }]
      scalingConfig: { minInstances: 2 }
`,
  );
  const deploy = (): ReturnType<Platform['thaw']> => platform.thaw(['deploy'], { cwd: directory });
  const deployed = await deploy();
  assert.equal(deployed.code, 0, deployed.stderr);
  assert.match(deployed.stderr, /provisionConfig\.targetTrackingPolicies has no effect on this platform/);
  const client = fcClient(platform);
  assert.equal((await client.getConcurrencyConfig('filed')).body?.reservedConcurrency, 3);
  // Of two settings that ask for instances the larger number is kept.
  await waitFor('two instances', async () => {
    const { target, current } = await provisionOf(client, 'filed', 'LATEST');
    return target === 2 && current === 2;
  });
  assert.doesNotMatch((await deploy()).stderr, /scalingConfig:|provisionConfig:|concurrencyConfig:/);
});
