import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import fc from '@alicloud/fc20230330';
import {
  fcClient,
  runThaw,
  startPlatform,
  temporaryDirectory,
  type Platform,
} from '@thaw/testkit/platform.ts';
import { afterTest } from '@thaw/testkit/after-test.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { zip } from '@thaw/testkit/zip.ts';
import { CatalogueWriter, type Acknowledged } from './fixtures/catalogue-writer.ts';
import { childrenOf, platformMark, processesOf, tracesOf } from './fixtures/host-traces.ts';
import { metric, readMetrics } from './fixtures/metrics.ts';
import { missingProgram, missingSandbox } from './fixtures/requirements.ts';
import { createFunction, createHttpTrigger, invoke } from './support/functions.ts';
import { send } from './support/http-call.ts';

const KILLS = 3;
/** Each crash falls somewhere within so many confirmed calls. */
const CALLS_BEFORE_KILL_MAX = 40;
const SMALL_DISK = '16m';

const SLOW = `
exports.handler = (event, context, callback) => {
  if (event.toString() !== 'slowly') return callback(null, 'at once');
  setTimeout(callback, 1500, null, 'in the end');
};`;

test('what was confirmed survives kill -9 of the daemon', async (t) => {
  const dataDir = await temporaryDirectory(t, 'thaw data ');
  const writer = new CatalogueWriter();
  for (let kill = 1; kill <= KILLS; kill++) {
    const platform = await startPlatform(t, { dataDir });
    await assertEverythingIsThere(platform, writer.functions);
    const callsAtKill = writer.calls + Math.floor(Math.random() * CALLS_BEFORE_KILL_MAX);
    let ended: unknown;
    const writing = writer.writeUntilFailure(platform).then((error) => {
      ended = error;
    });
    await waitFor(`${callsAtKill} confirmed calls`, () => {
      assert.equal(ended, undefined, 'nothing but the crash ends the writer');
      return writer.calls >= callsAtKill;
    });
    t.diagnostic(`kill ${kill} after ${writer.calls} calls`);
    await platform.kill();
    await writing;
    assert.ok(ended instanceof Error);
    assert.equal('statusCode' in ended ? ended.statusCode : undefined, undefined, ended.message);
  }
  const platform = await startPlatform(t, { dataDir });
  await assertEverythingIsThere(platform, writer.functions);
});

test('a killed platform leaves nothing behind once it has run again', async (t) => {
  const dataDir = await temporaryDirectory(t, 'thaw data ');
  const first = await startPlatform(t, { dataDir });
  const skip = await missingSandbox(first);
  if (skip !== undefined) {
    t.skip(skip);
    return;
  }
  await createFunction(first, 'sleeper', { code: SLOW });
  const { headers } = await invoke(first, 'sleeper');
  const instanceId = String(headers['x-fc-instance-id']);
  const mark = await platformMark(instanceId);
  const children = await childrenOf(first.pid);
  await first.kill();
  await waitFor('every process to end', async () => {
    const left = await processesOf(instanceId);
    return left.length === 0 && children.every(({ pid }) => !isAlive(pid));
  });

  const second = await startPlatform(t, { dataDir });
  assert.equal((await invoke(second, 'sleeper')).body.toString(), 'at once');
  await second.stop();
  if (mark !== undefined) assert.deepEqual(await tracesOf(mark), []);
});

test('one data directory has one daemon', async (t) => {
  const platform = await startPlatform(t);
  const { code, stderr } = await runThaw(['serve', '--port', '0', '--data-dir', platform.dataDir]);
  assert.equal(code, 2, stderr);
  assert.match(stderr, /another daemon uses the data directory/);
  assert.ok(stderr.includes(String(platform.pid)), stderr);
  assert.equal((await send(platform.url, { path: '/healthz' })).status, 200);
  assert.equal((await platform.thaw(['info'])).code, 0, 'the second has taken nothing from the first');
});

test('SIGTERM lets a running invocation finish, and everything is there at the next start', async (t) => {
  const dataDir = await temporaryDirectory(t, 'thaw data ');
  const platform = await startPlatform(t, { dataDir });
  await createFunction(platform, 'slow', { code: SLOW });
  const url = new URL(await createHttpTrigger(platform, 'slow'));
  const answer = invoke(platform, 'slow', 'slowly');
  await isBusy(platform, 'slow');
  const stopped = platform.stop();
  const { status, body } = await answer;
  assert.deepEqual([status, body.toString()], [200, 'in the end']);
  await stopped;

  const startedAt = performance.now();
  const again = await startPlatform(t, { dataDir });
  t.diagnostic(`the second start took ${Math.round(performance.now() - startedAt)} ms`);
  assert.equal((await invoke(again, 'slow')).body.toString(), 'at once');
  assert.equal((await send(again.url, { path: url.pathname })).body.toString(), 'at once');
});

test('kill -9 of the launcher fails what runs, and the next invocation works', async (t) => {
  const platform = await startPlatform(t);
  await createFunction(platform, 'slow', { code: SLOW });
  const { headers } = await invoke(platform, 'slow');
  const instanceId = String(headers['x-fc-instance-id']);
  const answer = invoke(platform, 'slow', 'slowly');
  await isBusy(platform, 'slow');
  const launchers = (await childrenOf(platform.pid)).filter(({ command }) => command.includes('launcher'));
  const [launcher] = launchers;
  assert.ok(launcher !== undefined && launchers.length === 1, JSON.stringify(launchers));
  process.kill(launcher.pid, 'SIGKILL');
  const { status, headers: failed, body } = await answer;
  const isError = status >= 500 || failed['x-fc-error-type'] !== undefined;
  assert.ok(isError, `${status}: ${body.toString()}`);
  assert.match(body.toString(), /slow/);
  assert.equal((await invoke(platform, 'slow')).body.toString(), 'at once');
  await waitFor('the lost instance to end', async () => {
    return (await processesOf(instanceId)).length === 0;
  });
});

test('a full disk and a read-only one are told clearly', async (t) => {
  const disk = await mountSmallDisk(t);
  if (disk === undefined) return;
  const dataDir = join(disk, 'data');
  const platform = await startPlatform(t, { dataDir, isolation: 'process' });
  await createFunction(platform, 'kept', { code: SLOW });
  const ballast = join(disk, 'ballast');
  fill(ballast);

  const client = fcClient(platform);
  const large = Buffer.from(Array.from({ length: 300_000 }, () => Math.random() * 256));
  const zipFile = (await zip({ 'index.js': SLOW, ballast: large })).toString('base64');
  const create = (functionName: string): Promise<unknown> =>
    client.createFunction(
      new fc.CreateFunctionRequest({
        body: new fc.CreateFunctionInput({
          functionName,
          runtime: 'nodejs20',
          handler: 'index.handler',
          code: new fc.InputCodeLocation({ zipFile }),
        }),
      }),
    );
  await assert.rejects(create('late'), (error: Error & { statusCode?: number }) => {
    assert.ok(
      error.statusCode === 500 || error.statusCode === 503 || error.statusCode === 507,
      error.message,
    );
    assert.match(error.message, /disk is full/u);
    return true;
  });
  assert.equal((await send(platform.url, { path: '/healthz' })).status, 200);
  assert.equal((await invoke(platform, 'kept')).body.toString(), 'at once', 'what is there goes on');
  const listed = await client.listFunctions(new fc.ListFunctionsRequest({}));
  assert.deepEqual(
    listed.body?.functions?.map(({ functionName }) => functionName),
    ['kept'],
  );

  await rm(ballast);
  await create('late');
  assert.equal((await invoke(platform, 'late')).body.toString(), 'at once');
  await platform.stop();

  assert.equal(spawnSync('mount', ['-o', 'remount,ro', disk]).status, 0);
  const { code, stderr } = await runThaw([
    'serve',
    '--port',
    '0',
    '--data-dir',
    dataDir,
    '--isolation',
    'process',
  ]);
  assert.notEqual(code, 0);
  assert.match(stderr, /read-only/iu);
  assert.ok(stderr.includes(dataDir), stderr);
});

/** Everything confirmed, and of what was not nothing that is half there. */
async function assertEverythingIsThere(
  platform: Platform,
  functions: ReadonlyMap<string, Acknowledged>,
): Promise<void> {
  const client = fcClient(platform);
  const listed = await listNames(platform);
  for (const [functionName, { version, hasAlias, hasTrigger }] of functions) {
    assert.ok(listed.includes(functionName), functionName);
    if (version !== undefined) {
      const versions = await client.listFunctionVersions(
        functionName,
        new fc.ListFunctionVersionsRequest({}),
      );
      assert.ok(
        versions.body?.versions?.some(({ versionId }) => versionId === version.id),
        functionName,
      );
    }
    if (hasAlias) {
      const alias = await client.getAlias(functionName, 'live');
      assert.equal(alias.body?.versionId, version?.id);
    }
    if (hasTrigger) assert.equal((await client.getTrigger(functionName, 'web')).body?.triggerType, 'http');
    assert.equal(
      (await client.getFunction(functionName, new fc.GetFunctionRequest({}))).body?.state,
      'Active',
    );
  }
  // A start costs more than a look, so that the newest, which the crash met, are the ones to run.
  for (const functionName of newest(listed)) {
    const known = functions.get(functionName);
    const text = (await invoke(platform, functionName)).body.toString();
    const right = known === undefined ? [`${functionName} first`] : [known.answer, known.pendingAnswer];
    assert.ok(right.includes(text), `${functionName} says '${text}'`);
    if (known?.hasAlias === true && known.version !== undefined) {
      const live = await invoke(platform, functionName, '', { qualifier: 'live' });
      assert.equal(live.body.toString(), known.version.answer);
    }
    if (known?.hasTrigger === true) {
      const page = await send(platform.url, { path: `/http/${functionName}/web/` });
      assert.deepEqual([page.status, page.body.toString()], [200, text]);
    }
  }
}

const NEWEST_COUNT = 3;

function newest(names: readonly string[]): string[] {
  const age = (name: string): number => Number(name.slice(1));
  return names.toSorted((one, other) => age(one) - age(other)).slice(-NEWEST_COUNT);
}

async function listNames(platform: Platform): Promise<string[]> {
  const { code, stdout, stderr } = await platform.thaw(['function', 'list', '--json']);
  assert.equal(code, 0, stderr);
  const functions: readonly { functionName: string }[] = JSON.parse(stdout.toString());
  return functions.map(({ functionName }) => functionName);
}

async function isBusy(platform: Platform, functionName: string): Promise<void> {
  await waitFor(`${functionName} to be busy`, async () => {
    return (
      metric(await readMetrics(platform), 'thaw_instances', { function: functionName, state: 'busy' }) > 0
    );
  });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Skips the test and gives undefined where no file system may be mounted. */
async function mountSmallDisk(t: TestContext): Promise<string | undefined> {
  const directory = await temporaryDirectory(t, 'thaw disk ');
  const missing = missingProgram('mount');
  const isMounted =
    missing === undefined &&
    spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${SMALL_DISK}`, 'tmpfs', directory]).status === 0;
  if (!isMounted) {
    t.skip(missing ?? 'mounting a small disk needs root');
    return undefined;
  }
  afterTest(t, () => {
    spawnSync('umount', [directory]);
  });
  return directory;
}

function fill(path: string): void {
  const file = openSync(path, 'w');
  const block = Buffer.alloc(64 * 1024);
  try {
    for (;;) writeSync(file, block);
  } catch (error) {
    assert.ok(error instanceof Error && 'code' in error && error.code === 'ENOSPC');
  } finally {
    closeSync(file);
  }
}
