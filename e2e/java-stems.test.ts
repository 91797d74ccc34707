import assert from 'node:assert/strict';
import { open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { startPlatform, temporaryDirectory, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { buildJava, type JavaBuild } from '../runtimes/conformance/java-build.ts';
import { findJdks } from '../runtimes/java/toolchain.ts';
import { missingSandbox } from './fixtures/requirements.ts';
import { filesBelow } from './support/files-below.ts';
import { createFunction, invoke } from './support/functions.ts';
import { jsonOf, type Answer } from './support/http-call.ts';
import { signedCall } from './support/signed-call.ts';

/** Compiling the shim and training its archive come before the first stem. */
const READY_MS_MAX = 240_000;
const TRIES_MAX = 5;
const jdks = findJdks();

interface StemStatus {
  readonly kinds: number;
  readonly waiting: number;
  readonly unavailable?: string;
}

type Code = Readonly<Record<string, Buffer>>;
type Sight = Readonly<Record<string, unknown>> & { readonly environment: Readonly<Record<string, string>> };

async function stemsOf(platform: Platform): Promise<StemStatus> {
  const answer = await signedCall(platform, { method: 'GET', path: '/thaw/v1/info' });
  return jsonOf<{ stems: StemStatus }>(answer).stems;
}

async function hasAllStems(platform: Platform): Promise<boolean> {
  const { waiting, kinds } = await stemsOf(platform);
  return waiting >= kinds;
}

function isFromStem(answer: Answer): boolean {
  return /\bstem;/.test(String(answer.headers['server-timing']));
}

/** What is not the instance's own; its variables are those that its children have too. */
function sightOf(answer: Answer): Sight {
  assert.equal(answer.status, 200, answer.body.toString());
  const { environment, childEnvironment, ...sight } = jsonOf<Sight>(answer);
  const { FC_INSTANCE_ID: instance, FC_FUNCTION_NAME: _name, ...shared } = environment;
  assert.equal(instance, answer.headers['x-fc-instance-id']);
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  assert.deepEqual(childEnvironment, variables.toSorted());
  return { ...sight, environment: shared };
}

test('Java functions from stems, and the archive of their runtime', async (t) => {
  const build = await buildJava(jdks[0]?.home);
  if (typeof build === 'string') {
    t.skip(build);
    return;
  }
  await using compiled: JavaBuild = build;
  const code = filesBelow(compiled.codePath);
  const dataDir = await temporaryDirectory(t, 'thaw java ');
  const platform = await startPlatform(t, { dataDir, stems: 1, needs: ['prepare', 'load-ahead'] });
  const missing = (await missingSandbox(platform)) ?? (await stemsOf(platform)).unavailable;
  if (missing !== undefined) {
    t.skip(missing);
    return;
  }
  for (const { major } of jdks) {
    await t.test(`java${major}: a function from a stem sees what it sees of an ordinary start`, () =>
      seesTheSame(platform, `java${major}`, code),
    );
  }
  await platform.stop();
  await t.test('an archive that is damaged is told of and made anew', () =>
    mendsArchive(t, dataDir, `java${jdks[0]?.major}`, code),
  );
});

async function seesTheSame(platform: Platform, runtime: string, code: Code): Promise<void> {
  const fields = { runtime, handler: 'where.Functions::look', memorySize: 256 };
  const own = { TZ: 'Asia/Tokyo', OWN: 'grüße', EMPTY: '' };
  const create = (name: string, more: Readonly<Record<string, string>>): Promise<string> =>
    createFunction(platform, `${name}-${runtime}`, {
      code,
      fields: { ...fields, environmentVariables: { ...own, ...more } },
    });
  // A variable that a virtual machine reads as it starts makes its start ordinary.
  const ordinary = await invoke(platform, await create('ordinary', { _JAVA_OPTIONS: '-Dnothing=1' }));
  assert.ok(!isFromStem(ordinary));
  const { environment: ordinarily, ...expected } = sightOf(ordinary);
  const { _JAVA_OPTIONS: _options, ...expectedVariables } = ordinarily;
  for (const ahead of ['off', 'on']) {
    const answer = await answerFromStem(platform, (attempt) =>
      create(`stem-${ahead}-${attempt}`, { THAW_LOAD_AHEAD: ahead }),
    );
    const { environment, ...sight } = sightOf(answer);
    assert.deepEqual(sight, expected);
    const { THAW_LOAD_AHEAD: _ahead, ...variables } = environment;
    assert.deepEqual(variables, expectedVariables);
    assert.deepEqual([variables['OWN'], variables['EMPTY'], sight['zone']], ['grüße', '', 'Asia/Tokyo']);
  }
}

/** A stem that dies, or is not there on a machine with too much to do, costs time and not the call. */
async function answerFromStem(
  platform: Platform,
  create: (attempt: number) => Promise<string>,
): Promise<Answer> {
  for (let attempt = 1; ; attempt += 1) {
    const name = await create(attempt);
    await waitFor('a stem of every kind', () => hasAllStems(platform), READY_MS_MAX);
    const answer = await invoke(platform, name);
    assert.equal(answer.status, 200, answer.body.toString());
    if (isFromStem(answer)) return answer;
    assert.ok(attempt < TRIES_MAX, 'no stem could be used');
  }
}

async function mendsArchive(t: TestContext, dataDir: string, runtime: string, code: Code): Promise<void> {
  const options = await waitFor('the archive', () => optionsWithArchive(dataDir), READY_MS_MAX);
  const archive = options.slice(0, -'.options'.length);
  const file = await open(archive, 'r+');
  const { size } = await file.stat();
  await file.write(Buffer.alloc(4096, 'x'), 0, 4096, Math.floor(size / 2));
  await file.close();

  const platform = await startPlatform(t, { dataDir, stems: 0, needs: ['prepare'] });
  const fields = { runtime, handler: 'start.Functions::state', memorySize: 256 };
  const name = await createFunction(platform, 'state', { code, fields });
  assert.equal((await invoke(platform, name)).body.toString(), 'fresh');
  assert.match(platform.output(), /the archive of the Java runtime .* was damaged and is made anew/u);
  const isUsed = async (): Promise<boolean> => (await readFile(options, 'utf8')) !== '';
  await waitFor('a whole archive', isUsed, READY_MS_MAX);
  await platform.stop();

  const without = await startPlatform(t, { dataDir, stems: 0, arguments: ['--prepare', 'off'] });
  assert.equal((await invoke(without, name)).body.toString(), 'fresh');
  assert.equal(await readFile(options, 'utf8'), '', 'it is not used where nothing is prepared');
}

/** Those of the oldest JDK. */
async function optionsWithArchive(dataDir: string): Promise<string | undefined> {
  const names = await readdir(join(dataDir, 'runtimes'), { recursive: true });
  const own = new RegExp(`/archives/${jdks[0]?.major}[^/]*\\.options$`, 'u');
  for (const name of names.filter((one) => own.test(one))) {
    const path = join(dataDir, 'runtimes', name);
    if ((await readFile(path, 'utf8')) !== '') return path;
  }
  return undefined;
}
