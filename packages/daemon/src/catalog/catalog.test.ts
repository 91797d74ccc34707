import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import * as fc from 'fast-check';
import { createFunction, openTemporaryCatalog, zipOf } from './temporary-catalog.ts';
import type { Catalog } from './catalog.ts';

const code = (error: unknown): string => (error instanceof ThawError ? error.code : String(error));
const throwsCode = (what: () => unknown, expected: string): void => {
  assert.throws(what, (error) => code(error) === expected);
};
const rejectsCode = (what: Promise<unknown>, expected: string): Promise<void> =>
  assert.rejects(what, (error) => code(error) === expected);

const newZip = async (text: string): Promise<{ zip: Buffer; bytesMax: number }> => ({
  zip: await zipOf({ 'index.js': text }),
  bytesMax: LIMITS.codeZipBytesMax,
});

test('a function is routable when create returns, with defaults and FC variables filled in', async () => {
  await using temporary = await openTemporaryCatalog();
  const { catalog } = temporary;
  await createFunction(catalog, 'hello', {
    environmentVariables: { GREETING: 'hi', THAW_HANDLER_TYPE: 'event' },
    instanceLifecycleConfig: { initializer: { handler: 'index.init', timeout: 7 }, preStop: { handler: '' } },
    logConfig: { project: 'p', logstore: 's' },
  });
  const { codeDirectory, key, codeChecksum, ...runnable } = catalog.routes.resolve('hello', undefined, 0);
  assert.deepEqual(runnable, {
    functionName: 'hello',
    versionId: 'LATEST',
    family: 'nodejs',
    runtime: 'nodejs20',
    handler: 'index.handler',
    handlerType: 'event',
    initializer: { handler: 'index.init', timeout: 7 },
    timeoutMs: 3000,
    memoryMb: 512,
    container: undefined,
    server: undefined,
    hot: undefined,
    hooks: { preFreeze: undefined, preStop: undefined, postThaw: undefined },
    freezeAfterMs: 100,
    recordsInputs: false,
    instancesMax: undefined,
    idleMsMax: undefined,
    sessionAffinity: undefined,
    cpu: undefined,
    diskMb: 512,
    instanceConcurrency: 1,
    environment: {
      GREETING: 'hi',
      THAW_HANDLER_TYPE: 'event',
      FC_FUNC_CODE_PATH: '/code/',
      FC_FUNCTION_NAME: 'hello',
      FC_FUNCTION_HANDLER: 'index.handler',
      FC_FUNCTION_MEMORY_SIZE: '512',
      FC_REGION: 'local',
      FC_ACCOUNT_ID: '1000000000000000',
      FC_QUALIFIER: 'LATEST',
      FC_RUNTIME: 'nodejs20',
      FC_TIMEOUT: '3',
      FC_INITIALIZER_HANDLER: 'index.init',
      FC_INITIALIZATION_TIMEOUT: '7',
    },
    internetAccess: true,
    layerDirectory: undefined,
    logProject: 'p',
    logStore: 's',
  });
  assert.match(key, /^hello@.+/);
  assert.match(codeChecksum, /^[0-9]+$/);
  assert.match(await readFile(join(codeDirectory, 'index.js'), 'utf8'), /hello/);
});

test('of many creates of one name exactly one succeeds', async () => {
  await using temporary = await openTemporaryCatalog();
  const outcomes = await Promise.allSettled(
    Array.from({ length: 8 }, () => createFunction(temporary.catalog, 'same')),
  );
  const refused = outcomes.flatMap((outcome) =>
    outcome.status === 'rejected' ? [code(outcome.reason)] : [],
  );
  assert.deepEqual(
    refused,
    Array.from({ length: 7 }, () => 'FUNCTION_EXISTS'),
  );
});

test('concurrent updates of different fields are all kept', async () => {
  await using temporary = await openTemporaryCatalog();
  const { functions, routes } = temporary.catalog;
  await createFunction(temporary.catalog, 'f');
  await Promise.all([
    functions.update('f', { timeout: 9 }, undefined),
    functions.update('f', { memorySize: 1024 }, undefined),
    functions.update('f', { handler: 'index.other' }, await newZip('exports.other = 1')),
    functions.update('f', { environmentVariables: { A: '1' } }, undefined),
  ]);
  const { timeoutMs, memoryMb, handler, environment } = routes.resolve('f', 'LATEST', 0);
  assert.deepEqual([timeoutMs, memoryMb, handler, environment['A']], [9000, 1024, 'index.other', '1']);
});

test('the revision changes with what an instance depends on and with nothing else', async () => {
  await using temporary = await openTemporaryCatalog();
  const { functions, routes } = temporary.catalog;
  await createFunction(temporary.catalog, 'f');
  const keyNow = (): string => routes.resolve('f', undefined, 0).key;
  const first = keyNow();
  await functions.update('f', { description: 'new words', role: 'acs:ram::1:role/x' }, undefined);
  functions.tag(['f'], [{ Key: 'team', Value: 'a' }], 20);
  functions.disable('f', 'for a while');
  throwsCode(() => keyNow(), 'FUNCTION_DISABLED');
  functions.enable('f');
  assert.equal(keyNow(), first);
  await functions.update('f', { timeout: 10 }, undefined);
  const second = keyNow();
  assert.notEqual(second, first);
  await functions.update('f', {}, await newZip('exports.handler = 2'));
  assert.notEqual(keyNow(), second);
});

test('versions are numbered from 1, never again, and aliases share traffic among them', async () => {
  await using temporary = await openTemporaryCatalog();
  const { versions, aliases, routes } = temporary.catalog;
  await createFunction(temporary.catalog, 'f');
  assert.equal(versions.publish('f', 'one').versionId, '1');
  assert.equal(versions.publish('f', 'two').versionId, '2');
  assert.equal(versions.publish('f', 'three').versionId, '3');
  versions.delete('f', '3');
  assert.equal(versions.publish('f', 'four').versionId, '4');
  aliases.create('f', {
    aliasName: 'prod',
    versionId: '1',
    description: '',
    additionalVersionWeight: { 2: 0.25 },
  });
  const at = (random: number): string => routes.resolve('f', 'prod', random).versionId;
  assert.deepEqual([at(0), at(0.2499), at(0.25), at(0.999)], ['2', '2', '1', '1']);
  throwsCode(() => versions.delete('f', '2'), 'IN_USE');
  throwsCode(() => routes.resolve('f', '3', 0), 'VERSION_NOT_FOUND');
  throwsCode(() => routes.resolve('f', 'nope', 0), 'ALIAS_NOT_FOUND');
  throwsCode(() => routes.resolve('g', undefined, 0), 'FUNCTION_NOT_FOUND');
  assert.notEqual(routes.resolve('f', '1', 0).key, routes.resolve('f', undefined, 0).key);
  assert.deepEqual(
    versions.list('f', { direction: 'BACKWARD', limit: 2 }).items.map((version) => version.versionId),
    ['4', '2'],
  );
});

test('deleting a function deletes all that belongs to it, and a new one of its name starts anew', async () => {
  await using temporary = await openTemporaryCatalog();
  const { catalog } = temporary;
  await createFunction(catalog, 'f');
  await createFunction(catalog, 'f2');
  catalog.versions.publish('f', '');
  catalog.aliases.create('f', {
    aliasName: 'a',
    versionId: '1',
    description: '',
    additionalVersionWeight: {},
  });
  createTrigger(catalog, 'f', 'web');
  catalog.settings.putConcurrency('f', { reservedConcurrency: 3 });
  catalog.settings.putAsyncConfig('f', 'a', { maxAsyncRetryAttempts: 1 });
  const before = catalog.routes.resolve('f', undefined, 0).key;
  catalog.functions.delete('f');
  throwsCode(() => catalog.routes.resolve('f', undefined, 0), 'FUNCTION_NOT_FOUND');
  assert.equal(catalog.routes.httpTrigger('f', 'web'), undefined);
  assert.deepEqual(
    temporary.records.list('').map((record) => record.key),
    ['function/f2'],
  );
  await createFunction(catalog, 'f');
  assert.notEqual(catalog.routes.resolve('f', undefined, 0).key, before);
  throwsCode(() => catalog.routes.resolve('f', '1', 0), 'VERSION_NOT_FOUND');
  throwsCode(() => catalog.settings.requireConcurrency('f'), 'CONFIG_NOT_FOUND');
});

test('after a restart everything is routable again, also when the unpacked code is gone', async () => {
  await using first = await openTemporaryCatalog();
  await createFunction(first.catalog, 'f');
  first.catalog.versions.publish('f', '');
  createTrigger(first.catalog, 'f', 'web');
  const { key, codeDirectory } = first.catalog.routes.resolve('f', '1', 0);
  await rm(codeDirectory, { recursive: true, force: true });
  await using second = await first.reopen();
  const again = second.catalog.routes.resolve('f', '1', 0);
  assert.equal(again.key, key);
  assert.match(await readFile(join(again.codeDirectory, 'index.js'), 'utf8'), /hello/);
  assert.equal(second.catalog.routes.httpTrigger('f', 'web')?.qualifier, 'LATEST');
  assert.deepEqual(second.brokenCode, []);
});

test('a live session runs LATEST from a directory and every bump makes a new revision', async () => {
  await using temporary = await openTemporaryCatalog();
  const { catalog } = temporary;
  await createFunction(catalog, 'f');
  const stored = catalog.routes.resolve('f', undefined, 0);
  const directory = await mkdtemp(join(tmpdir(), 'thaw-live-'));
  try {
    await rejectsCode(catalog.startLive('f', join(directory, 'missing')), 'INVALID_ARGUMENT');
    await rejectsCode(catalog.startLive('nope', directory), 'FUNCTION_NOT_FOUND');
    const session = await catalog.startLive('f', directory);
    const keys = new Set([stored.key, catalog.routes.resolve('f', undefined, 0).key]);
    session.bump();
    keys.add(catalog.routes.resolve('f', 'LATEST', 0).key);
    assert.equal(keys.size, 3);
    await catalog.functions.update('f', { timeout: 33 }, undefined);
    const live = catalog.routes.resolve('f', undefined, 0);
    assert.deepEqual([live.codeDirectory, live.timeoutMs], [directory, 33_000]);
    session.close();
    session.bump();
    assert.equal(catalog.routes.resolve('f', undefined, 0).codeDirectory, stored.codeDirectory);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('a deleted layer stays for the functions that have it and is gone for others', async () => {
  await using temporary = await openTemporaryCatalog();
  const { catalog } = temporary;
  const input = { code: {}, compatibleRuntime: [], description: '', license: '' };
  await catalog.layers.publish('lib', input, await newZip('library'));
  const arn = 'acs:fc:elsewhere:42:layers/lib/versions/1';
  await createFunction(catalog, 'f', { layers: [arn] });
  catalog.layers.delete('lib', 1);
  await rejectsCode(createFunction(catalog, 'g', { layers: [arn] }), 'LAYER_NOT_FOUND');
  throwsCode(() => catalog.layers.require('lib', 1), 'LAYER_NOT_FOUND');
  await catalog.functions.update('f', { timeout: 5 }, undefined);
  const { layerDirectory = '' } = catalog.routes.resolve('f', undefined, 0);
  assert.equal(await readFile(join(layerDirectory, 'index.js'), 'utf8'), 'library');
  assert.equal((await catalog.layers.publish('lib', input, await newZip('two'))).version, 2);
  catalog.functions.delete('f');
  await catalog.collectCode([]);
  assert.equal(temporary.records.get('layer/lib/1'), undefined);
});

test('collecting keeps what records name and what still runs', async () => {
  await using temporary = await openTemporaryCatalog();
  const { catalog, store, clock } = temporary;
  await createFunction(catalog, 'kept');
  await createFunction(catalog, 'running');
  await catalog.functions.update('running', {}, await newZip('exports.handler = 1'));
  const running = catalog.routes.resolve('running', undefined, 0);
  const old = { ...(await createFunction(catalog, 'gone')).latest.code };
  await catalog.functions.update('gone', {}, await newZip('exports.handler = 3'));
  const dropped = catalog.functions.require('gone').latest.code;
  catalog.functions.delete('gone');
  catalog.functions.delete('running');
  clock.advance(365 * 24 * 3600 * 1000);
  await catalog.collectCode([running]);
  assert.match(await readFile(join(running.codeDirectory, 'index.js'), 'utf8'), /1/);
  assert.ok(store.zipFile(old), 'the code of `kept` is the same zip');
  throwsCode(() => store.zipFile(dropped), 'STORE_FAILED');
});

test('lists give every function exactly once under any limit and prefix', async () => {
  await using temporary = await openTemporaryCatalog();
  const { catalog } = temporary;
  const names = Array.from({ length: 23 }, (_, index) => `${index % 3 === 0 ? 'api' : 'Job'}_${index}`);
  for (const name of names) await createFunction(catalog, name);
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 30 }),
      fc.constantFrom('', 'api', 'Job_1', 'zzz'),
      (limit, prefix) => {
        const seen: string[] = [];
        let nextToken: string | undefined;
        do {
          const page = catalog.functions.list({ limit, prefix, nextToken });
          assert.ok(page.items.length <= limit);
          seen.push(...page.items.map((record) => record.latest.config.functionName));
          nextToken = page.nextToken;
        } while (nextToken !== undefined);
        assert.deepEqual(seen, names.filter((name) => name.startsWith(prefix)).toSorted());
      },
    ),
  );
});

test('an event trigger has the configuration of its type, is judged before it is stored, and no request comes through it', async () => {
  await using temporary = await openTemporaryCatalog();
  const { catalog } = temporary;
  await createFunction(catalog, 'f');
  const input = {
    triggerName: 'tick',
    triggerType: 'timer',
    triggerConfig: '{"cronExpression":"@every 5m"}',
    qualifier: 'LATEST',
    description: '',
    invocationRole: '',
    sourceArn: '',
  };
  const created = catalog.triggers.create('f', input);
  assert(created.triggerType === 'timer');
  assert.equal(created.config.cronExpression, '@every 5m');
  assert.equal(created.isPaused, false);
  assert.equal(catalog.routes.httpTrigger('f', 'tick'), undefined);
  assert.equal(catalog.routes.httpTriggerOf('f'), undefined);
  const paused = catalog.triggers.setPaused('f', 'tick', true);
  assert(paused.triggerType === 'timer' && paused.isPaused);
  const changed = catalog.triggers.update('f', 'tick', { triggerConfig: '{"cronExpression":"0 0 8 * * *"}' });
  assert(changed.triggerType === 'timer' && changed.isPaused, 'a change does not resume it');
  assert.equal(changed.config.cronExpression, '0 0 8 * * *');
  throwsCode(() => catalog.triggers.update('f', 'tick', { triggerConfig: '{}' }), 'INVALID_ARGUMENT');
  throwsCode(
    () => catalog.triggers.create('f', { ...input, triggerName: 'x', triggerType: 'cdn_events' }),
    'INVALID_ARGUMENT',
  );
  createTrigger(catalog, 'f', 'web');
  throwsCode(() => catalog.triggers.setPaused('f', 'web', true), 'INVALID_ARGUMENT');
  catalog.triggers.delete('f', 'web');
  // Another type under the name of a trigger that requests came through takes its route away.
  catalog.triggers.create('f', { ...input, triggerName: 'web' });
  assert.equal(catalog.routes.httpTrigger('f', 'web'), undefined);
});

function createTrigger(catalog: Catalog, functionName: string, triggerName: string): void {
  catalog.triggers.create(functionName, {
    triggerName,
    triggerType: 'http',
    triggerConfig: '{"authType":"anonymous","methods":["GET"]}',
    qualifier: 'LATEST',
    description: '',
    invocationRole: '',
    sourceArn: '',
  });
}
