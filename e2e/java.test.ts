import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { startPlatform, type Platform } from '@thaw/testkit/platform.ts';
import { buildJava, type JavaBuild } from '../runtimes/conformance/java-build.ts';
import { findJdks } from '../runtimes/java/toolchain.ts';
import { filesBelow } from './support/files-below.ts';
import {
  createFunction,
  createHttpTrigger,
  functionErrorOf,
  invoke,
  logTailOf,
} from './support/functions.ts';
import { send } from './support/http-call.ts';

test('Java functions against the published interfaces', async (t) => {
  const jdks = findJdks();
  const build = await buildJava(jdks.at(-1)?.home);
  if (typeof build === 'string') {
    t.skip(build);
    return;
  }
  await using compiled: JavaBuild = build;
  const files = filesBelow(compiled.codePath);
  const platform = await startPlatform(t);
  for (const { major } of jdks) await serves(t, platform, `java${major}`, files);
  await serves(t, platform, 'java11', files);
});

async function serves(
  t: TestContext,
  platform: Platform,
  runtime: string,
  files: Record<string, Buffer>,
): Promise<void> {
  await t.test(`${runtime}: streams, initializer, errors and logs`, async () => {
    const name = await createFunction(platform, `echo-${runtime}`, {
      code: files,
      fields: {
        runtime,
        handler: 'published.Echo::handleRequest',
        memorySize: 256,
        instanceLifecycleConfig: { initializer: { handler: 'published.Echo::initialize', timeout: 20 } },
      },
    });
    const answer = await invoke(platform, name, 'hi', { headers: { 'x-fc-log-type': 'Tail' } });
    assert.equal(answer.body.toString(), `hello ${String(answer.headers['x-fc-request-id'])}`);
    assert.match(logTailOf(answer), /FC Invoke End RequestId/);
    assert.match(String(answer.headers['server-timing']), /(boot|stem);dur=.*load;dur=.*initializer;dur=/);

    const failed = await invoke(platform, name, 'fail');
    assert.equal(failed.headers['x-fc-error-type'], 'UnhandledInvocationError');
    assert.equal(functionErrorOf(failed).errorType, 'java.io.IOException');
    const again = await invoke(platform, name, 'hi');
    assert.equal(again.headers['x-fc-instance-id'], answer.headers['x-fc-instance-id']);
  });

  await t.test(`${runtime}: a servlet behind a trigger`, async () => {
    const name = await createFunction(platform, `page-${runtime}`, {
      code: files,
      fields: { runtime, handler: 'published.Page::handleRequest', memorySize: 256 },
    });
    const url = await createHttpTrigger(platform, name);
    const answer = await send(url, {
      path: `${new URL(url).pathname}orders?a=1&b=2&b=3`,
      headers: { cookie: 'session=s1', 'x-number': '42' },
    });
    assert.equal(answer.status, 200, answer.body.toString());
    assert.match(answer.body.toString(), /^1 2\|3$/m);
    assert.match(answer.body.toString(), /^s1 42$/m);
  });

  await t.test(`${runtime}: a process that ends says so, and the next call works`, async () => {
    const name = await createFunction(platform, `ends-${runtime}`, {
      code: files,
      fields: { runtime, handler: 'published.Ends::exits', memorySize: 256 },
    });
    for (let call = 0; call < 2; call += 1) {
      const answer = await invoke(platform, name);
      assert.equal(answer.headers['x-fc-error-type'], 'UnhandledInvocationError');
      assert.equal(functionErrorOf(answer).errorType, 'SystemExit', answer.body.toString());
    }
  });
}
