import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import fc from '@alicloud/fc20230330';
import type * as Dara from '@darabonba/typescript';
import openApi from '@alicloud/openapi-core';
import { fcClient, startPlatform, type FcClient, type Platform } from '@thaw/testkit/platform.ts';
import { zip } from '@thaw/testkit/zip.ts';

/** The client's own library, found as the client finds it: its calls with headers want an object of its making. */
const dara: typeof Dara = createRequire(import.meta.resolve('@alicloud/fc20230330'))('@darabonba/typescript');

const ALL_BYTES = Buffer.from(Array.from({ length: 256 }, (_, value) => value));

const codeOf = async (source: string): Promise<InstanceType<typeof fc.InputCodeLocation>> =>
  new fc.InputCodeLocation({ zipFile: (await zip({ 'index.js': source })).toString('base64') });

async function newFunction(
  functionName: string,
  source: string,
  fields: object = {},
): Promise<InstanceType<typeof fc.CreateFunctionRequest>> {
  return new fc.CreateFunctionRequest({
    body: new fc.CreateFunctionInput({
      functionName,
      runtime: 'nodejs20',
      handler: 'index.handler',
      memorySize: 128,
      code: await codeOf(source),
      ...fields,
    }),
  });
}

interface Invoked {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** The client's own call, with its headers where a test needs them. */
async function invoke(
  client: FcClient,
  functionName: string,
  body: Buffer | string = '',
  { qualifier, headers = {} }: { qualifier?: string; headers?: object } = {},
): Promise<Invoked> {
  const request = new fc.InvokeFunctionRequest({
    body: Readable.from([Buffer.from(body)]),
    ...(qualifier === undefined ? {} : { qualifier }),
  });
  const answer = await client.invokeFunctionWithOptions(
    functionName,
    request,
    new fc.InvokeFunctionHeaders(headers),
    new dara.RuntimeOptions({}),
  );
  assert.equal(answer.statusCode, 200);
  assert.ok(answer.body !== undefined && answer.headers !== undefined);
  return { headers: answer.headers, body: await buffer(answer.body) };
}

test('a function lives its whole life by the official client', async (t) => {
  const platform = await startPlatform(t);
  const client = fcClient(platform);

  const created = await client.createFunction(
    await newFunction('echo', 'exports.handler = async (event) => { console.log("seen"); return event; };', {
      description: 'gives back what it gets',
      environmentVariables: { COLOUR: 'blue' },
      tags: [new fc.Tag({ key: 'team', value: 'lab' })],
    }),
  );
  assert.equal(created.statusCode, 200);
  const { body } = created;
  assert.ok(body !== undefined);
  assert.deepEqual(
    [body.functionName, body.runtime, body.handler, body.memorySize, body.timeout, body.state],
    ['echo', 'nodejs20', 'index.handler', 128, 3, 'Active'],
  );
  assert.deepEqual(body.environmentVariables, { COLOUR: 'blue' });
  const got = await client.getFunction('echo', new fc.GetFunctionRequest({}));
  assert.deepEqual(got.body, body);

  const raw = await invoke(client, 'echo', ALL_BYTES, { headers: { xFcLogType: 'Tail' } });
  assert.deepEqual(raw.body, ALL_BYTES);
  const requestId = raw.headers['x-fc-request-id'] ?? '';
  assert.equal(
    Buffer.from(raw.headers['x-fc-log-result'] ?? '', 'base64').toString(),
    `FC Invoke Start RequestId: ${requestId}\nseen\nFC Invoke End RequestId: ${requestId}\n`,
  );
  assert.equal(raw.headers['x-fc-code-checksum'], body.codeChecksum);
  assert.equal(raw.headers['x-fc-invocation-service-version'], 'LATEST');
  assert.match(raw.headers['x-fc-invocation-duration'] ?? '', /^\d+$/);
  assert.match(raw.headers['server-timing'] ?? '', /handler;dur=/);
  assert.equal(raw.headers['x-fc-error-type'], undefined);
  const empty = await invoke(client, 'echo', '');
  assert.equal(empty.body.length, 0);
  assert.equal(empty.headers['x-fc-log-result'], undefined);

  const instances = await client.listInstances('echo', new fc.ListInstancesRequest({}));
  assert.deepEqual(
    instances.body?.instances?.map(({ instanceId, versionId }) => [instanceId, versionId]),
    [[raw.headers['x-fc-instance-id'], 'LATEST']],
  );

  const updated = await client.updateFunction(
    'echo',
    new fc.UpdateFunctionRequest({
      body: new fc.UpdateFunctionInput({
        timeout: 7,
        environmentVariables: { COLOUR: 'red' },
        code: await codeOf(
          'exports.handler = async (e, context) => ({ colour: process.env.COLOUR, timeout: context.function.timeout });',
        ),
      }),
    }),
  );
  assert.deepEqual([updated.body?.timeout, updated.body?.memorySize], [7, 128]);
  assert.notEqual(updated.body?.codeChecksum, body.codeChecksum);
  assert.deepEqual(JSON.parse((await invoke(client, 'echo')).body.toString()), { colour: 'red', timeout: 7 });

  const code = await client.getFunctionCode('echo', new fc.GetFunctionCodeRequest({}));
  assert.equal(code.body?.checksum, updated.body?.codeChecksum);
  const download = await fetch(code.body?.url ?? '');
  const again = await zip({
    'index.js':
      'exports.handler = async (e, context) => ({ colour: process.env.COLOUR, timeout: context.function.timeout });',
  });
  assert.deepEqual(Buffer.from(await download.arrayBuffer()), again);

  const concurrency = new fc.PutConcurrencyInput({ reservedConcurrency: 3 });
  await client.putConcurrencyConfig('echo', new fc.PutConcurrencyConfigRequest({ body: concurrency }));
  assert.equal((await client.getConcurrencyConfig('echo')).body?.reservedConcurrency, 3);
  assert.equal((await client.deleteConcurrencyConfig('echo')).statusCode, 204);

  await client.disableFunctionInvocation('echo', new fc.DisableFunctionInvocationRequest({ reason: 'rest' }));
  await assert.rejects(invoke(client, 'echo'), {
    name: 'ClientError',
    statusCode: 403,
    code: 'FunctionInvocationDisabled',
  });
  await client.enableFunctionInvocation('echo');
  assert.equal(JSON.parse((await invoke(client, 'echo')).body.toString()).colour, 'red');

  const tags = new fc.TagResourcesInput({
    resourceType: 'function',
    resourceId: [body.functionArn],
    tag: [new fc.Tag({ key: 'cost', value: '7' })],
  });
  await client.tagResources(new fc.TagResourcesRequest({ body: tags }));
  const listed = await client.listTagResources(
    new fc.ListTagResourcesRequest({ resourceType: 'function', resourceId: [body.functionArn] }),
  );
  assert.deepEqual(listed.body?.tagResources?.map(({ tagKey, tagValue }) => [tagKey, tagValue]).toSorted(), [
    ['cost', '7'],
    ['team', 'lab'],
  ]);

  assert.equal((await client.deleteFunction('echo')).statusCode, 204);
  await assert.rejects(client.getFunction('echo', new fc.GetFunctionRequest({})), {
    code: 'FunctionNotFound',
  });
  await assert.rejects(invoke(client, 'echo'), { code: 'FunctionNotFound', statusCode: 404 });
});

test('functions are listed by prefix and in pages', async (t) => {
  const client = fcClient(await startPlatform(t));
  const names = ['a-1', 'a-2', 'a-3', 'a-4', 'a-5', 'b-1'];
  for (const name of names) await client.createFunction(await newFunction(name, ''));
  const pageOf = async (fields: object): Promise<{ names: string[]; next: string | undefined }> => {
    const { body } = await client.listFunctions(new fc.ListFunctionsRequest(fields));
    return { names: body?.functions?.map((each) => each.functionName ?? '') ?? [], next: body?.nextToken };
  };
  const first = await pageOf({ prefix: 'a-', limit: 2 });
  assert.deepEqual(first.names, ['a-1', 'a-2']);
  const second = await pageOf({ prefix: 'a-', limit: 2, nextToken: first.next });
  assert.deepEqual(second.names, ['a-3', 'a-4']);
  const third = await pageOf({ prefix: 'a-', limit: 2, nextToken: second.next });
  assert.deepEqual(third, { names: ['a-5'], next: undefined });
  assert.deepEqual((await pageOf({})).names, names);
  assert.deepEqual((await pageOf({ prefix: 'c' })).names, []);
});

const CALLS = 200;
/** With a share of 0.3 more than 1 of 10^9 runs of 200 calls stay within these. */
const SHARE_MIN = 0.1;
const SHARE_MAX = 0.6;

test('versions stay as they were published, and an alias divides its calls', async (t) => {
  const client = fcClient(await startPlatform(t));
  const say = (word: string): string => `exports.handler = async () => '${word}';`;
  await client.createFunction(await newFunction('word', say('one')));
  const publish = (description: string): Promise<unknown> =>
    client.publishFunctionVersion(
      'word',
      new fc.PublishFunctionVersionRequest({ body: new fc.PublishVersionInput({ description }) }),
    );
  await publish('the first');
  const update = new fc.UpdateFunctionInput({ code: await codeOf(say('two')) });
  await client.updateFunction('word', new fc.UpdateFunctionRequest({ body: update }));
  await publish('the second');
  const draft = new fc.UpdateFunctionInput({ code: await codeOf(say('draft')) });
  await client.updateFunction('word', new fc.UpdateFunctionRequest({ body: draft }));
  const versions = await client.listFunctionVersions('word', new fc.ListFunctionVersionsRequest({}));
  assert.deepEqual(
    versions.body?.versions?.map(({ versionId, description }) => [versionId, description]),
    [
      ['2', 'the second'],
      ['1', 'the first'],
    ],
  );
  const answers = { '1': 'one', '2': 'two', LATEST: 'draft' };
  for (const [qualifier, word] of Object.entries(answers)) {
    const answer = await invoke(client, 'word', '', { qualifier });
    assert.equal(answer.body.toString(), word);
    assert.equal(answer.headers['x-fc-invocation-service-version'], qualifier);
  }
  assert.equal((await invoke(client, 'word')).body.toString(), 'draft');

  const alias = new fc.CreateAliasInput({
    aliasName: 'prod',
    versionId: '1',
    additionalVersionWeight: { '2': 0.3 },
  });
  await client.createAlias('word', new fc.CreateAliasRequest({ body: alias }));
  const counts = new Map<string, number>();
  for (let n = 0; n < CALLS; n += 1) {
    const word = (await invoke(client, 'word', '', { qualifier: 'prod' })).body.toString();
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  assert.deepEqual([...counts.keys()].toSorted(), ['one', 'two']);
  const share = (counts.get('two') ?? 0) / CALLS;
  assert.ok(share > SHARE_MIN && share < SHARE_MAX, `version 2 got ${share} of the calls`);

  const moved = new fc.UpdateAliasInput({ versionId: '2', additionalVersionWeight: {} });
  await client.updateAlias('word', 'prod', new fc.UpdateAliasRequest({ body: moved }));
  assert.equal((await client.getAlias('word', 'prod')).body?.versionId, '2');
  for (let n = 0; n < 10; n += 1) {
    assert.equal((await invoke(client, 'word', '', { qualifier: 'prod' })).body.toString(), 'two');
  }
  const aliases = await client.listAliases('word', new fc.ListAliasesRequest({ prefix: 'p' }));
  assert.deepEqual(
    aliases.body?.aliases?.map((each) => each.aliasName),
    ['prod'],
  );
  await assert.rejects(client.deleteFunctionVersion('word', '2'), {
    name: 'ClientError',
    code: 'ResourceInUse',
  });
  assert.equal((await client.deleteAlias('word', 'prod')).statusCode, 204);
  assert.equal((await client.deleteFunctionVersion('word', '2')).statusCode, 204);
  await assert.rejects(invoke(client, 'word', '', { qualifier: '2' }), { code: 'VersionNotFound' });
  await assert.rejects(invoke(client, 'word', '', { qualifier: 'prod' }), { code: 'AliasNotFound' });
});

test('the address of an HTTP trigger works as it is returned', async (t) => {
  const client = fcClient(await startPlatform(t));
  await client.createFunction(
    await newFunction('web', 'exports.handler = (req, resp) => { resp.end(`${req.method} ${req.url}`); };'),
  );
  const trigger = new fc.CreateTriggerInput({
    triggerName: 'site',
    triggerType: 'http',
    triggerConfig: JSON.stringify({ authType: 'anonymous', methods: ['GET'] }),
  });
  const created = await client.createTrigger('web', new fc.CreateTriggerRequest({ body: trigger }));
  const url = created.body?.httpTrigger?.urlInternet ?? '';
  assert.equal(await (await fetch(url)).text(), 'GET /');
  assert.equal(await (await fetch(`${url}a/b?c=d`)).text(), 'GET /a/b?c=d');
  assert.equal((await fetch(url, { method: 'POST' })).status, 405);
  assert.deepEqual((await client.getTrigger('web', 'site')).body, created.body);
  const update = new fc.UpdateTriggerInput({
    triggerConfig: JSON.stringify({ authType: 'anonymous', methods: ['POST'] }),
  });
  await client.updateTrigger('web', 'site', new fc.UpdateTriggerRequest({ body: update }));
  assert.equal(await (await fetch(url, { method: 'POST' })).text(), 'POST /');
  assert.equal((await fetch(url)).status, 405);
  const listed = await client.listTriggers('web', new fc.ListTriggersRequest({ limit: 10 }));
  assert.deepEqual(
    listed.body?.triggers?.map((each) => each.triggerName),
    ['site'],
  );
  assert.equal((await client.deleteTrigger('web', 'site')).statusCode, 204);
  assert.equal((await fetch(url)).status, 404);
});

test('files of a layer are found at /opt', async (t) => {
  const client = fcClient(await startPlatform(t));
  const files = {
    'words.txt': 'from the layer',
    'nodejs/node_modules/greeting/index.js': "module.exports = 'from its module';",
  };
  const layer = await client.createLayerVersion(
    'words',
    new fc.CreateLayerVersionRequest({
      body: new fc.CreateLayerVersionInput({
        code: new fc.InputCodeLocation({ zipFile: (await zip(files)).toString('base64') }),
        compatibleRuntime: ['nodejs20'],
      }),
    }),
  );
  assert.equal(layer.body?.version, 1);
  await client.createFunction(
    await newFunction(
      'reader',
      `const { readFileSync } = require('node:fs');
       exports.handler = async () => [readFileSync('/opt/words.txt', 'utf8'), require('greeting')];`,
      { layers: [layer.body?.layerVersionArn] },
    ),
  );
  assert.deepEqual(JSON.parse((await invoke(client, 'reader')).body.toString()), [
    'from the layer',
    'from its module',
  ]);
});

test("failures are the client's own error classes", async (t) => {
  const platform = await startPlatform(t);
  const client = fcClient(platform);
  const source = 'exports.handler = async () => 1;';
  await client.createFunction(await newFunction('f', source));
  const failsAs = async (
    call: Promise<unknown>,
    statusCode: number,
    code: string,
    message: RegExp,
  ): Promise<void> => {
    await assert.rejects(call, (error: unknown) => {
      assert.ok(error instanceof openApi.ClientError, String(error));
      assert.deepEqual([error.statusCode, error.code], [statusCode, code]);
      assert.match(error.message, message);
      assert.match(error.requestId ?? '', /^1-/);
      return true;
    });
  };
  const none = new fc.GetFunctionRequest({});
  await failsAs(client.getFunction('nobody', none), 404, 'FunctionNotFound', /'nobody'/);
  await failsAs(invoke(client, 'nobody'), 404, 'FunctionNotFound', /'nobody'/);
  await failsAs(client.createFunction(await newFunction('f', source)), 409, 'FunctionAlreadyExists', /'f'/);
  const bad = newFunction('g', source, { memorySize: 100 });
  await failsAs(client.createFunction(await bad), 400, 'InvalidArgument', /memorySize/);
  const stranger = (key: Partial<Platform['credentials']>): FcClient =>
    fcClient({ endpoint: platform.endpoint, credentials: { ...platform.credentials, ...key } });
  const wrongSecret = stranger({ accessKeySecret: 'guess' });
  await failsAs(wrongSecret.getFunction('f', none), 403, 'SignatureNotMatch', /signature/);
  await failsAs(invoke(wrongSecret, 'f'), 403, 'SignatureNotMatch', /signature/);
  const wrongKey = stranger({ accessKeyId: 'nobody' });
  await failsAs(wrongKey.getFunction('f', none), 403, 'InvalidAccessKeyID', /nobody/);
  await failsAs(invoke(wrongKey, 'f'), 403, 'InvalidAccessKeyID', /nobody/);
});
