/** Every case against every interpreter on the machine: docs/RUNTIMES.md, section 11. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import {
  assertLogs,
  assertText,
  bytesOf,
  casesFor,
  type Case,
  type Expected,
  type ExpectedError,
  type Logs,
  type Step,
} from './case.ts';
import { type Interpreter, type Language, listInterpreters } from './interpreters.ts';
import { buildJava, type JavaBuild } from './java-build.ts';
import { LinkDriver, type ReportedError, type Stream } from './link-driver.ts';

const RUNTIMES = join(import.meta.dirname, '..');
/** Cases of one interpreter that run at once: each is a process of its own. */
const CASES_AT_ONCE = 2;
/** Variables that a stem's own are written over. */
const STEM_ROOM = Object.fromEntries(
  Array.from({ length: 64 }, (_, index) => [`THAW_ROOM_${index}`, '-'.repeat(64)]),
);

const interpreters = listInterpreters();
const jdks = interpreters.flatMap(({ language, path }) => (language === 'java' ? (path ?? []) : []));
/** Compiled once, by the oldest JDK, for all of them; a reason where it cannot be. */
const java = await buildJava(jdks[0]);
after(async () => {
  if (typeof java !== 'string') await java[Symbol.asyncDispose]();
});

for (const interpreter of interpreters) {
  const { language, name, path } = interpreter;
  if (path === undefined) {
    void it(`runs on ${name}`, { skip: `${name} is not on this machine` }, () => {});
    continue;
  }
  if (language === 'java' && typeof java === 'string') {
    void it(`runs on ${name}`, { skip: java }, () => {});
    continue;
  }
  void describe(`the ${language} shim on ${name}`, { concurrency: CASES_AT_ONCE }, () => {
    for (const one of casesFor(language)) void it(one.name, () => runCase(one, language, path));
    void it('exits with 1 on a frame that is not allowed', () => refuseFrame(language, path));
    void it('exits when the link closes', () => closeEarly(language, path));
  });
  if (language !== 'java') continue;
  // Others are told everything by SPECIALIZE in any case. What a stem loads and knows may differ, not how it serves.
  void describe(`the java shim as a stem on ${name}`, { concurrency: CASES_AT_ONCE }, () => {
    for (const one of casesFor(language).filter(isAboutTheStart))
      void it(one.name, () => runCase(one, language, path, true));
  });
}

function isAboutTheStart({ hold, environment, initializer, startFailed, languages }: Case): boolean {
  return hold ?? languages?.includes('java') ?? (initializer ?? environment ?? startFailed) !== undefined;
}

async function refuseFrame(language: Language, path: string): Promise<void> {
  await using driver = await startDriver(language, path);
  driver.sendRaw(Buffer.from('000000050800000001', 'hex'));
  await driver.waitFor('the exit', () => driver.exitCode !== undefined);
  assert.equal(driver.exitCode, 1);
}

async function closeEarly(language: Language, path: string): Promise<void> {
  const driver = await startDriver(language, path);
  await driver[Symbol.asyncDispose]();
  assert.equal(driver.exitCode, 0);
}

async function startDriver(
  language: Language,
  path: Interpreter['path'] & string,
  environment: Readonly<Record<string, string>> = {},
  isStem = false,
): Promise<LinkDriver> {
  const driver = await LinkDriver.start(
    (link) => commandOf(language, path, link, isStem),
    codePath(language),
    language === 'java' ? (isStem ? STEM_ROOM : environment) : undefined,
  );
  await driver.waitWhileAlive('HELLO', () => driver.hello !== undefined);
  return driver;
}

function commandOf(language: Language, path: string, link: string, isStem: boolean): readonly string[] {
  if (language === 'nodejs') return [path, join(RUNTIMES, 'nodejs', 'shim.cjs')];
  if (language === 'python3') return [path, '-u', '-B', join(RUNTIMES, 'python', 'shim.py')];
  return isStem ? requireJava().stemCommandOn(path, link) : requireJava().commandOn(path, link);
}

function requireJava(): JavaBuild {
  assert.ok(typeof java !== 'string');
  return java;
}

function codePath(language: Language): string {
  if (language === 'java') return requireJava().codePath;
  return join(import.meta.dirname, 'functions', language === 'nodejs' ? 'nodejs' : 'python');
}

async function runCase(one: Case, language: Language, path: string, isStem = false): Promise<void> {
  await using driver = await startDriver(language, path, one.environment, isStem);
  assert.equal(driver.hello?.['protocol'], 1);
  assert.equal(driver.hello['runtime'], language);
  driver.specialize(specializationOf(one, codePath(language)));
  if (one.hold === true) {
    await driver.waitWhileAlive('the code', () => driver.isLoaded || driver.startFailed !== undefined);
    assert.ok(driver.ready === undefined && !driver.isInitializing, 'it went on by itself');
    driver.proceed();
  }
  await driver.waitWhileAlive(
    'the start',
    () => driver.ready !== undefined || driver.startFailed !== undefined,
  );
  if (one.startLogs !== undefined) assertLogs(driver.instanceLogs, one.startLogs);
  if (one.startFailed !== undefined) {
    assert.equal(driver.ready, undefined, 'the start succeeded');
    assert.equal(driver.startFailed?.phase, one.startFailed.phase);
    assertError(driver.startFailed.error, one.startFailed.error);
    await driver.waitFor('the exit', () => driver.exitCode !== undefined);
    assert.equal(driver.exitCode, 1);
    return;
  }
  assert.deepEqual(driver.startFailed, undefined);
  assert.equal(driver.ready, one.ready ?? 'event');
  assert.equal(driver.isLoaded, one.hold === true);
  assert.equal(driver.isInitializing, one.initializer !== undefined);
  await runSteps(driver, one.steps ?? []);
  assert.equal(driver.native, '', 'the shim printed on its own descriptors');
}

function specializationOf(one: Case, directory: string): { function: Record<string, unknown> } {
  const specialization = {
    instanceId: 'c-65a1f2c0-1f0e8a7d',
    function: {
      name: 'conformance',
      handler: one.handler,
      memory: 512,
      timeout: 30,
      initializer: one.initializer ?? null,
      initializationTimeout: 10,
      preFreeze: one.preFreeze ?? null,
      preStop: one.preStop ?? null,
      postThaw: one.postThaw ?? null,
      versionId: 'LATEST',
      qualifier: 'LATEST',
    },
    handlerType: one.handlerType ?? 'auto',
    codePath: directory,
    layerPath: join(directory, 'no-layers'),
    environment: one.environment ?? {},
    concurrency: one.concurrency ?? 1,
    ...(one.hold === true ? { hold: true } : {}),
    region: 'local',
    accountId: '1000000000000000',
    logProject: '',
    logStore: '',
  };
  return specialization;
}

async function runSteps(driver: LinkDriver, steps: readonly Step[]): Promise<void> {
  const named = new Map<string, Stream>();
  const require = (name: string): Stream => {
    const stream = named.get(name);
    assert.ok(stream !== undefined, `no step has sent '${name}'`);
    return stream;
  };
  for (const step of steps) {
    if (step.event !== undefined || step.http !== undefined) {
      const stream = send(driver, step);
      if (step.send === undefined) await assertAnswer(driver, stream, step.expect ?? {});
      else named.set(step.send, stream);
    } else if (step.data !== undefined) {
      driver.data(require(step.data), bytesOf(step.body ?? { utf8: '' }), step.end ?? false);
    } else if (step.cancel !== undefined) {
      driver.cancel(require(step.cancel));
    } else if (step.awaitBody !== undefined) {
      await awaitBody(driver, require(step.awaitBody), step);
    } else if (step.awaitHead !== undefined) {
      const stream = require(step.awaitHead);
      await driver.waitWhileAlive('the head', () => stream.head !== undefined);
    } else if (step.awaitLog !== undefined) {
      const { logs } = require(step.awaitLog);
      const text = step.contains ?? '';
      await driver.waitFor(`'${text}' in the log`, () =>
        logs
          .map((piece) => piece.text)
          .join('')
          .includes(text),
      );
    } else if (step.answer !== undefined) {
      await assertAnswer(driver, require(step.answer), step.expect ?? {});
    } else if (step.hook !== undefined) {
      await assertAnswer(driver, driver.hook(step.hook), step.expect ?? {});
    } else if (step.kill !== undefined) {
      driver.kill(step.kill);
    } else if (step.answerLogs !== undefined) {
      assertLogs(require(step.answerLogs).logs, step.logs ?? {});
    } else if (step.exit !== undefined) {
      await driver.waitFor('the exit', () => driver.exitCode !== undefined);
      assert.equal(driver.exitCode, step.exit);
    } else if (step.instanceLogs !== undefined) {
      await awaitInstanceLogs(driver, step.instanceLogs);
    } else {
      assert.fail(`an unknown step: ${JSON.stringify(step)}`);
    }
  }
}

function send(driver: LinkDriver, step: Step): Stream {
  const common = { id: '1-65a1f2c0-0000', deadline: Date.now() + 30_000 };
  const isEnd = step.more !== true;
  if (step.http === undefined) {
    return driver.request(
      { ...common, kind: 'event', ...step.head },
      bytesOf(step.event ?? { utf8: '' }),
      isEnd,
    );
  }
  const { body, ...http } = step.http;
  const defaults = { method: 'GET', base: '', headers: [], remote: '127.0.0.1', scheme: 'http' };
  return driver.request(
    { ...common, kind: 'http', ...defaults, ...http, ...step.head },
    bytesOf(body ?? { utf8: '' }),
    isEnd,
  );
}

async function awaitBody(driver: LinkDriver, stream: Stream, step: Step): Promise<void> {
  const wanted = bytesOf(step.body ?? { utf8: '' });
  await driver.waitWhileAlive(
    `${wanted.length} bytes of the answer`,
    () => stream.body.length >= wanted.length,
  );
  const actual = step.atLeast === true ? stream.body.subarray(0, wanted.length) : stream.body;
  assert.equal(actual.toString(), wanted.toString());
}

async function awaitInstanceLogs(driver: LinkDriver, expected: Logs): Promise<void> {
  const isThere = (): boolean => {
    try {
      assertLogs(driver.instanceLogs, expected);
      return true;
    } catch {
      return false;
    }
  };
  // What came by then says more than that something did not come.
  await driver
    .waitFor('the log of the instance', isThere)
    .catch(() => assertLogs(driver.instanceLogs, expected));
}

async function assertAnswer(driver: LinkDriver, stream: Stream, expected: Expected): Promise<void> {
  await driver.waitWhileAlive('the end of the answer', () => stream.isEnded);
  if (expected.ended === true) return;
  if (expected.error !== undefined) assertError(stream.error, expected.error);
  else assert.deepEqual(stream.error, undefined);
  if (expected.status !== undefined) assert.equal(stream.head?.['status'], expected.status);
  if (expected.headers !== undefined) assertHeaders(stream.head?.['headers'], expected.headers);
  if (expected.body !== undefined) {
    const body = bytesOf(expected.body);
    // Five megabytes of difference help nobody.
    assert.ok(stream.body.equals(body), `the body is ${preview(stream.body)}, not ${preview(body)}`);
  }
  if (expected.bodyJson !== undefined)
    assert.deepEqual(JSON.parse(stream.body.toString()), expected.bodyJson);
  if (expected.logs !== undefined) assertLogs(stream.logs, expected.logs);
}

function assertHeaders(actual: unknown, expected: NonNullable<Expected['headers']>): void {
  assert.ok(Array.isArray(actual), 'there are no headers');
  const texts = actual.map(String);
  assert.equal(texts.length, expected.length, texts.join(' | '));
  for (const [i, text] of expected.entries()) assertText(texts[i] ?? '', text, texts.join(' | '));
}

function assertError(actual: ReportedError | undefined, expected: ExpectedError): void {
  assert.ok(actual !== undefined, 'the invocation succeeded');
  const { stackContains, ...exact } = expected;
  const told = Object.fromEntries(Object.entries(actual).filter(([key]) => key in exact));
  assert.deepEqual(told, exact);
  assert.ok(Array.isArray(actual.stackTrace), 'stackTrace is a list');
  assert.equal(typeof actual.handled, 'boolean');
  if (stackContains === undefined) return;
  assert.ok(JSON.stringify(actual).includes(stackContains), JSON.stringify(actual));
}

function preview(bytes: Buffer): string {
  return `${bytes.length} bytes ${JSON.stringify(bytes.subarray(0, 80).toString())}`;
}
