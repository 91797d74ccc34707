import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListBucketsCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { afterTest } from '@thaw/testkit/after-test.ts';
import { fcClient, startPlatform, type Platform } from '@thaw/testkit/platform.ts';
import { missingSandbox } from './fixtures/requirements.ts';
import { createFunction, invoke } from './support/functions.ts';

const FUNCTION = await readFile(join(import.meta.dirname, 'fixtures/s3-function.cjs'), 'utf8');
const GRANT = { THAW_BUCKETS: 'mine, shared:ro' };

interface Outcome {
  readonly status?: number;
  readonly body?: string;
  readonly error?: string;
}

async function ask(platform: Platform, functionName: string, operation: object): Promise<Outcome> {
  const answer = await invoke(platform, functionName, JSON.stringify(operation));
  assert.equal(answer.headers['x-fc-error-type'], undefined, answer.body.toString());
  return JSON.parse(answer.body.toString());
}

function ownerClient(t: TestContext, { url, credentials }: Platform): S3Client {
  const { accessKeyId, accessKeySecret } = credentials;
  const client = new S3Client({
    endpoint: `${url}/s3`,
    region: 'local',
    credentials: { accessKeyId, secretAccessKey: accessKeySecret },
  });
  afterTest(t, () => client.destroy());
  return client;
}

async function fillBuckets(t: TestContext, platform: Platform): Promise<S3Client> {
  const s3 = ownerClient(t, platform);
  for (const Bucket of ['mine', 'shared', 'other']) {
    await s3.send(new CreateBucketCommand({ Bucket }));
    await s3.send(new PutObjectCommand({ Bucket, Key: 'note', Body: `in ${Bucket}` }));
  }
  return s3;
}

test('a function uses the buckets that it was granted, and nothing else of the platform', async (t) => {
  const platform = await startPlatform(t);
  const s3 = await fillBuckets(t, platform);
  const skip = await missingSandbox(platform);
  const create = (name: string, fields: Readonly<Record<string, unknown>>): Promise<string> =>
    createFunction(platform, name, { code: FUNCTION, fields });
  await create('granted', { environmentVariables: GRANT });
  await create('offline', { environmentVariables: GRANT, internetAccess: false });
  await create('plain', {});

  for (const name of ['granted', 'offline']) {
    await t.test(`${name}: its own buckets`, async () => {
      assert.deepEqual(await ask(platform, name, { method: 'GET', path: '/mine/note' }), {
        status: 200,
        body: 'in mine',
      });
      assert.equal(
        (await ask(platform, name, { method: 'PUT', path: '/mine/made', body: 'by the function' })).status,
        200,
      );
      const made = await s3.send(new GetObjectCommand({ Bucket: 'mine', Key: 'made' }));
      assert.equal(await made.Body?.transformToString(), 'by the function');
      assert.equal((await ask(platform, name, { method: 'GET', path: '/shared/note' })).body, 'in shared');
      const { body = '' } = await ask(platform, name, { method: 'GET', path: '/' });
      assert.deepEqual(
        [...body.matchAll(/<Name>([^<]*)/gu)].map(([, bucket]) => bucket),
        ['mine', 'shared'],
      );
    });

    await t.test(`${name}: no others`, async () => {
      const denied = [
        { method: 'GET', path: '/other/note' },
        { method: 'PUT', path: '/other/note', body: 'x' },
        { method: 'PUT', path: '/shared/note', body: 'x' },
        { method: 'DELETE', path: '/shared/note' },
        { method: 'GET', path: '/missing/note' },
        { method: 'PUT', path: '/fresh' },
        { method: 'DELETE', path: '/mine' },
      ];
      for (const operation of denied) {
        const { status, body } = await ask(platform, name, operation);
        assert.equal(status, 403, JSON.stringify(operation));
        assert.match(body ?? '', /<Code>AccessDenied<\/Code>/u);
      }
    });
  }

  await t.test('the port leads to the object store alone', { skip }, async () => {
    for (const path of ['/', '/healthz', '/metrics', '/thaw/v1/info', '/2023-03-30/functions']) {
      const { status } = await ask(platform, 'granted', { url: `http://127.0.0.1:9001${path}` });
      assert.equal(status, 404, path);
    }
    assert.equal((await ask(platform, 'granted', { url: 'http://127.0.0.1:9001/s3/mine/note' })).status, 403);
  });

  await t.test('who was granted nothing has no port and no credentials', { skip }, async () => {
    assert.deepEqual(await ask(platform, 'plain', { url: 'http://127.0.0.1:9001/s3/' }), {
      error: 'ECONNREFUSED',
    });
    const { environment } = await variablesOf(platform, 'plain');
    assert.deepEqual(
      Object.keys(environment).filter((key) => /ACCESS_KEY|TOKEN|ENDPOINT/u.test(key)),
      [],
    );
  });

  await t.test(
    'credentials are in the variables that SDKs read, and void when the instance ends',
    async () => {
      const { environment, credentials } = await variablesOf(platform, 'granted');
      assert.deepEqual(credentials, {
        accessKeyId: environment['ALIBABA_CLOUD_ACCESS_KEY_ID'],
        accessKeySecret: environment['ALIBABA_CLOUD_ACCESS_KEY_SECRET'],
        securityToken: environment['ALIBABA_CLOUD_SECURITY_TOKEN'],
      });
      const client = new S3Client({
        endpoint: `${platform.url}/s3`,
        region: 'local',
        credentials: {
          accessKeyId: environment['AWS_ACCESS_KEY_ID'] ?? '',
          secretAccessKey: environment['AWS_SECRET_ACCESS_KEY'] ?? '',
          sessionToken: environment['AWS_SESSION_TOKEN'] ?? '',
        },
      });
      afterTest(t, () => client.destroy());
      const { Buckets = [] } = await client.send(new ListBucketsCommand({}));
      assert.deepEqual(
        Buckets.map(({ Name }) => Name),
        ['mine', 'shared'],
      );
      await fcClient(platform).deleteFunction('granted');
      const until = Date.now() + 30_000;
      await assert.rejects(
        async () => {
          while (Date.now() < until) await client.send(new ListBucketsCommand({}));
        },
        { name: 'InvalidAccessKeyId' },
      );
    },
  );

  await t.test("a user's own credentials stay whole", async () => {
    await create('own', {
      environmentVariables: { ...GRANT, AWS_ACCESS_KEY_ID: 'mine', AWS_SECRET_ACCESS_KEY: 's' },
    });
    const { environment } = await variablesOf(platform, 'own');
    assert.equal(environment['AWS_ACCESS_KEY_ID'], 'mine');
    assert.equal(environment['AWS_SESSION_TOKEN'], undefined);
    assert.equal(environment['AWS_ENDPOINT_URL_S3'], undefined);
    assert.ok(environment['THAW_SECURITY_TOKEN'] !== undefined);
  });

  await t.test('a list of buckets that is none is refused', async () => {
    for (const THAW_BUCKETS of ['No Bucket', 'mine:rx', 'mine:ro:rw'])
      await assert.rejects(create('wrong', { environmentVariables: { THAW_BUCKETS } }), /THAW_BUCKETS/u);
  });
});

test('a web server and a program that polls have the same way', async (t) => {
  const platform = await startPlatform(t);
  await fillBuckets(t, platform);
  const server = `
    const { call } = require('./s3.cjs');
    require('node:http').createServer(async (request, response) => {
      const { status, body } = await call({ method: 'GET', path: '/mine/note' });
      response.end(status + ' ' + body);
    }).listen(Number(process.env.PORT), '0.0.0.0');`;
  const poller = `
    const { call } = require('./s3.cjs');
    const api = 'http://' + process.env.AWS_LAMBDA_RUNTIME_API + '/2018-06-01/runtime/invocation/';
    (async () => {
      for (;;) {
        const next = await fetch(api + 'next');
        await next.arrayBuffer();
        const { status, body } = await call({ method: 'GET', path: '/mine/note' });
        const id = next.headers.get('lambda-runtime-aws-request-id');
        await fetch(api + id + '/response', { method: 'POST', body: status + ' ' + body });
      }
    })();`;
  for (const [name, source, port] of [
    ['poller', poller, undefined],
    ['server', server, 9000],
    ['on-9001', server, 9001],
  ] as const) {
    await createFunction(platform, name, {
      code: { 'main.cjs': source, 's3.cjs': FUNCTION },
      fields: {
        runtime: 'custom',
        customRuntimeConfig: { command: ['node', 'main.cjs'], ...(port === undefined ? {} : { port }) },
        environmentVariables: GRANT,
      },
    });
    assert.equal((await invoke(platform, name)).body.toString(), '200 in mine', name);
  }
});

async function variablesOf(
  platform: Platform,
  functionName: string,
): Promise<{ readonly environment: Readonly<Record<string, string>>; readonly credentials: unknown }> {
  const answer = await invoke(platform, functionName, JSON.stringify({ variables: true }));
  return JSON.parse(answer.body.toString());
}
