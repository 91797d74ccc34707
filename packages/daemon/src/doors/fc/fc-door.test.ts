import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import type FcModule from '@alicloud/fc20230330';
import type OpenApiModule from '@alicloud/openapi-core';
import { openTemporaryCatalog, zipOf } from '../../catalog/temporary-catalog.ts';
import { serveFc, TEST_KEY, type FcServer } from './fc-door-fixture.ts';

/** The vendor's client as it is. It is CommonJS with classes in `default`, so it is loaded the way its users do. */
const require = createRequire(import.meta.url);
const fcModule: typeof FcModule = require('@alicloud/fc20230330');
const { $OpenApiUtil }: typeof OpenApiModule = require('@alicloud/openapi-core');
type FcClient = InstanceType<typeof fcModule.default>;

async function connect(): Promise<
  {
    client: FcClient;
    server: FcServer;
    catalog: Awaited<ReturnType<typeof openTemporaryCatalog>>;
  } & AsyncDisposable
> {
  const catalog = await openTemporaryCatalog();
  const instances = [
    { instanceId: 'c-1', qualifier: 'LATEST', versionId: 'LATEST', status: 'Running', createdTimeMs: 5 },
    { instanceId: 'c-2', qualifier: '1', versionId: '1', status: 'Running', createdTimeMs: 6 },
  ];
  const server = await serveFc(catalog.catalog, catalog.blobs, catalog.directory, instances);
  const client = new fcModule.default(
    new $OpenApiUtil.Config({ ...TEST_KEY, endpoint: server.endpoint, protocol: 'http' }),
  );
  return {
    client,
    server,
    catalog,
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      await catalog[Symbol.asyncDispose]();
    },
  };
}

const refused = (call: Promise<unknown>, statusCode: number, code: string): Promise<void> =>
  assert.rejects(call, { statusCode, code });

const newFunction = async (
  functionName: string,
  fields = {},
): Promise<InstanceType<typeof fcModule.CreateFunctionRequest>> => {
  const zip = await zipOf({ 'index.js': 'exports.handler = async () => 1;' });
  return new fcModule.CreateFunctionRequest({
    body: new fcModule.CreateFunctionInput({
      functionName,
      runtime: 'nodejs20',
      handler: 'index.handler',
      code: new fcModule.InputCodeLocation({ zipFile: zip.toString('base64') }),
      ...fields,
    }),
  });
};

test('the official client lives a whole life of a function', async () => {
  await using fc = await connect();
  const { client, server } = fc;
  await refused(client.getFunction('nope', new fcModule.GetFunctionRequest({})), 404, 'FunctionNotFound');

  const created = await client.createFunction(
    await newFunction('hello', {
      memorySize: 1024,
      cpu: 0.5,
      description: 'greets',
      role: 'acs:ram::1:role/r',
      environmentVariables: { A: 'b' },
      tags: [new fcModule.Tag({ key: 'team', value: 'x' })],
      logConfig: new fcModule.LogConfig({ project: 'p', logstore: 's' }),
    }),
  );
  assert.equal(created.statusCode, 200);
  assert.equal(created.body?.state, 'Active');
  assert.equal(created.body?.functionArn, 'acs:fc:local:1000000000000000:functions/hello');
  assert.equal(created.body?.cpu, 0.5);
  assert.equal(created.body?.logConfig?.project, 'p');
  assert.deepEqual(
    created.body?.tags?.map((tag) => [tag.key, tag.value]),
    [['team', 'x']],
  );
  assert.match(created.headers?.['x-fc-request-id'] ?? '', /^1-/);
  await refused(client.createFunction(await newFunction('hello')), 409, 'FunctionAlreadyExists');

  const code = await client.getFunctionCode('hello', new fcModule.GetFunctionCodeRequest({}));
  assert.equal(code.body?.checksum, created.body?.codeChecksum);
  const download = await fetch(code.body?.url ?? '');
  assert.equal((await download.arrayBuffer()).byteLength, created.body?.codeSize);

  const updated = await client.updateFunction(
    'hello',
    new fcModule.UpdateFunctionRequest({ body: new fcModule.UpdateFunctionInput({ timeout: 60 }) }),
  );
  assert.deepEqual([updated.body?.timeout, updated.body?.memorySize], [60, 1024]);

  const version = await client.publishFunctionVersion(
    'hello',
    new fcModule.PublishFunctionVersionRequest({
      body: new fcModule.PublishVersionInput({ description: 'v' }),
    }),
  );
  assert.equal(version.body?.versionId, '1');
  await client.publishFunctionVersion('hello', new fcModule.PublishFunctionVersionRequest({}));
  const versions = await client.listFunctionVersions('hello', new fcModule.ListFunctionVersionsRequest({}));
  assert.deepEqual(
    versions.body?.versions?.map((each) => each.versionId),
    ['2', '1'],
  );

  const alias = await client.createAlias(
    'hello',
    new fcModule.CreateAliasRequest({
      body: new fcModule.CreateAliasInput({
        aliasName: 'prod',
        versionId: '1',
        additionalVersionWeight: { '2': 0.2 },
      }),
    }),
  );
  assert.deepEqual(alias.body?.additionalVersionWeight, { '2': 0.2 });
  await client.updateAlias(
    'hello',
    'prod',
    new fcModule.UpdateAliasRequest({
      body: new fcModule.UpdateAliasInput({ versionId: '2', additionalVersionWeight: {} }),
    }),
  );
  assert.equal((await client.getAlias('hello', 'prod')).body?.versionId, '2');
  assert.equal(
    (await client.listAliases('hello', new fcModule.ListAliasesRequest({ limit: 1 }))).body?.aliases?.length,
    1,
  );

  const trigger = await client.createTrigger(
    'hello',
    new fcModule.CreateTriggerRequest({
      body: new fcModule.CreateTriggerInput({
        triggerName: 'web',
        triggerType: 'http',
        triggerConfig: '{"authType":"anonymous","methods":["GET","POST"]}',
        qualifier: 'prod',
      }),
    }),
  );
  assert.equal(trigger.body?.httpTrigger?.urlInternet, `http://${server.endpoint}/http/hello/web/`);
  assert.equal(trigger.body?.triggerConfig, '{"authType":"anonymous","methods":["GET","POST"]}');
  await client.updateTrigger(
    'hello',
    'web',
    new fcModule.UpdateTriggerRequest({ body: new fcModule.UpdateTriggerInput({ description: 'front' }) }),
  );
  assert.equal((await client.getTrigger('hello', 'web')).body?.description, 'front');
  assert.equal(
    (await client.listTriggers('hello', new fcModule.ListTriggersRequest({ limit: 10 }))).body?.triggers
      ?.length,
    1,
  );

  const instances = await client.listInstances(
    'hello',
    new fcModule.ListInstancesRequest({ instanceIds: ['c-2'], withAllActive: true }),
  );
  assert.deepEqual(
    instances.body?.instances?.map((each) => each.instanceId),
    ['c-2'],
  );

  const disable = new fcModule.DisableFunctionInvocationRequest({
    reason: 'rest',
    abortOngoingRequest: true,
  });
  assert.equal((await client.disableFunctionInvocation('hello', disable)).body?.success, true);
  assert.deepEqual(server.aborted, ['hello']);
  const restricted = await client.getFunction('hello', new fcModule.GetFunctionRequest({ qualifier: '1' }));
  assert.equal(restricted.body?.invocationRestriction?.reason, 'rest');
  assert.equal((await client.enableFunctionInvocation('hello')).body?.success, true);

  await client.deleteTrigger('hello', 'web');
  await client.deleteAlias('hello', 'prod');
  await client.deleteFunctionVersion('hello', '2');
  assert.equal((await client.deleteFunction('hello')).statusCode, 204);
  await refused(client.deleteFunction('hello'), 404, 'FunctionNotFound');
  assert.deepEqual(server.failures, []);
});

test('the official client keeps settings, tags and layers', async () => {
  await using fc = await connect();
  const { client, server } = fc;
  const layer = await client.createLayerVersion(
    'lib',
    new fcModule.CreateLayerVersionRequest({
      body: new fcModule.CreateLayerVersionInput({
        code: new fcModule.InputCodeLocation({
          zipFile: (await zipOf({ 'nodejs/node_modules/x/index.js': '' })).toString('base64'),
        }),
        compatibleRuntime: ['nodejs20'],
      }),
    }),
  );
  const arn = layer.body?.layerVersionArn ?? '';
  assert.equal((await client.getLayerVersionByArn(arn)).body?.version, 1);
  assert.equal((await client.getLayerVersion('lib', '1')).body?.codeSize, layer.body?.codeSize);
  assert.equal(
    (await client.listLayers(new fcModule.ListLayersRequest({ prefix: 'l' }))).body?.layers?.length,
    1,
  );
  assert.equal(
    (await client.putLayerACL('lib', new fcModule.PutLayerACLRequest({ _public: 'true' }))).statusCode,
    204,
  );
  const listed = await client.listLayerVersions(
    'lib',
    new fcModule.ListLayerVersionsRequest({ startVersion: '1' }),
  );
  assert.equal(listed.body?.layers?.length, 1);

  const created = await client.createFunction(await newFunction('f', { layers: [arn] }));
  assert.deepEqual(
    created.body?.layers?.map((each) => [each.arn, each.size]),
    [[arn, layer.body?.codeSize]],
  );
  await client.deleteLayerVersion('lib', '1');
  await refused(client.getLayerVersion('lib', '1'), 404, 'LayerNotFound');

  await refused(client.getConcurrencyConfig('f'), 404, 'OnDemandConfigNotFound');
  const concurrency = new fcModule.PutConcurrencyInput({ reservedConcurrency: 7 });
  await client.putConcurrencyConfig('f', new fcModule.PutConcurrencyConfigRequest({ body: concurrency }));
  assert.equal((await client.getConcurrencyConfig('f')).body?.reservedConcurrency, 7);
  const configs = await client.listConcurrencyConfigs(new fcModule.ListConcurrencyConfigsRequest({}));
  assert.equal(configs.body?.configs?.length, 1);
  await client.deleteConcurrencyConfig('f');

  const none = new fcModule.GetAsyncInvokeConfigRequest({});
  await refused(client.getAsyncInvokeConfig('f', none), 404, 'AsyncConfigNotExists');
  const asyncInput = new fcModule.PutAsyncInvokeConfigInput({ maxAsyncRetryAttempts: 2, asyncTask: true });
  await client.putAsyncInvokeConfig('f', new fcModule.PutAsyncInvokeConfigRequest({ body: asyncInput }));
  assert.equal((await client.getAsyncInvokeConfig('f', none)).body?.maxAsyncRetryAttempts, 2);
  const asyncConfigs = await client.listAsyncInvokeConfigs(
    new fcModule.ListAsyncInvokeConfigsRequest({ functionName: 'f' }),
  );
  assert.equal(asyncConfigs.body?.configs?.length, 1);
  await client.deleteAsyncInvokeConfig('f', new fcModule.DeleteAsyncInvokeConfigRequest({}));

  await refused(
    client.getProvisionConfig('f', new fcModule.GetProvisionConfigRequest({})),
    404,
    'ProvisionConfigNotFound',
  );
  const provisions = await client.listProvisionConfigs(new fcModule.ListProvisionConfigsRequest({}));
  assert.deepEqual(provisions.body?.provisionConfigs, []);
  const scalings = await client.listScalingConfigs(new fcModule.ListScalingConfigsRequest({}));
  assert.deepEqual(scalings.body?.scalingConfigs, []);
  assert.deepEqual((await client.listVpcBindings('f')).body?.vpcIds, []);

  await client.tagResources(
    new fcModule.TagResourcesRequest({
      body: new fcModule.TagResourcesInput({
        resourceType: 'function',
        resourceId: [created.body?.functionArn ?? ''],
        tag: [new fcModule.Tag({ key: 'a', value: '1' }), new fcModule.Tag({ key: 'b', value: '2' })],
      }),
    }),
  );
  await client.untagResources(
    new fcModule.UntagResourcesRequest({ resourceType: 'function', resourceId: ['f'], tagKey: ['b'] }),
  );
  const tags = await client.listTagResources(
    new fcModule.ListTagResourcesRequest({ resourceType: 'function', resourceId: ['f'] }),
  );
  assert.deepEqual(
    tags.body?.tagResources?.map((each) => [each.tagKey, each.tagValue]),
    [['a', '1']],
  );
  const tagged = await client.listFunctions(
    new fcModule.ListFunctionsRequest({ tags: [new fcModule.Tag({ key: 'a', value: '1' })] }),
  );
  assert.deepEqual(
    tagged.body?.functions?.map((each) => each.functionName),
    ['f'],
  );
  const other = await client.listFunctions(
    new fcModule.ListFunctionsRequest({ tags: [new fcModule.Tag({ key: 'a', value: '2' })] }),
  );
  assert.deepEqual(other.body?.functions, []);
  assert.deepEqual(server.failures, []);
});

test('what the client sends wrong comes back as a typed error that names the field', async () => {
  await using fc = await connect();
  const { client, server } = fc;
  const wrong: readonly [object, RegExp][] = [
    [{ memorySize: 100 }, /memorySize must be a multiple of 64/],
    [{ timeout: 0 }, /timeout must be a whole number of seconds from 1 to 86400/],
    [{ functionName: '1st' }, /functionName must be/],
    [{ runtime: 'go1' }, /'go1' is not supported by this version; these are: nodejs8/],
    [
      { customRuntimeConfig: new fcModule.CustomRuntimeConfig({ port: 70_000 }) },
      /customRuntimeConfig.port must be a port from 1 to 65535/,
    ],
    [{ runtime: 'cobol' }, /'cobol' does not exist/],
    [{ environmentVariables: { FC_X: '1' } }, /environmentVariables/],
    [{ cpu: 4, memorySize: 128 }, /cpu must be between/],
    [{ code: new fcModule.InputCodeLocation({ zipFile: 'not base64!' }) }, /code.zipFile is not base64/],
    [
      { code: new fcModule.InputCodeLocation({ ossBucketName: 'b', ossObjectName: 'o' }) },
      /code.ossBucketName/,
    ],
    [{ code: new fcModule.InputCodeLocation({ ossObjectName: '../../etc/passwd' }) }, /code.ossObjectName/],
    [{ code: new fcModule.InputCodeLocation({ zipFile: Buffer.from('junk').toString('base64') }) }, /zip/],
  ];
  for (const [fields, message] of wrong) {
    await assert.rejects(
      client.createFunction(await newFunction('f', fields)),
      (error: { statusCode: number; code: string; message: string }) => {
        assert.deepEqual([error.statusCode, error.code], [400, 'InvalidArgument'], error.message);
        assert.match(error.message, message);
        return true;
      },
    );
  }
  await client.createFunction(await newFunction('f'));
  const foreign = new fcModule.CreateTriggerInput({
    triggerName: 't',
    triggerType: 'tablestore',
    triggerConfig: '{}',
  });
  await refused(
    client.createTrigger('f', new fcModule.CreateTriggerRequest({ body: foreign })),
    400,
    'InvalidArgument',
  );
  await refused(client.listCustomDomains(new fcModule.ListCustomDomainsRequest({})), 400, 'PathNotSupported');
  await refused(client.getTrigger('f', 'none'), 404, 'TriggerNotFound');
  await refused(client.getAlias('f', '\0'), 404, 'AliasNotFound');
  await refused(client.deleteFunctionVersion('f', '9'), 404, 'VersionNotFound');
  await refused(
    client.listFunctions(new fcModule.ListFunctionsRequest({ limit: 101 })),
    400,
    'InvalidArgument',
  );
  await refused(
    client.listFunctions(new fcModule.ListFunctionsRequest({ nextToken: '%' })),
    400,
    'InvalidArgument',
  );
  const stranger = new fcModule.default(
    new $OpenApiUtil.Config({
      ...TEST_KEY,
      accessKeySecret: 'GUESS',
      endpoint: server.endpoint,
      protocol: 'http',
    }),
  );
  await refused(stranger.getFunction('f', new fcModule.GetFunctionRequest({})), 403, 'SignatureNotMatch');
  assert.deepEqual(server.failures, []);
});
