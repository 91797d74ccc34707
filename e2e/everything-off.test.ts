import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { MECHANISMS, optionsWithout } from '@thaw/testkit/mechanisms.ts';
import { ROOT, startPlatform, temporaryDirectory } from '@thaw/testkit/platform.ts';
import { compile, findJdks } from '../runtimes/java/toolchain.ts';
import { filesBelow } from './support/files-below.ts';
import { createFunction, createHttpTrigger, invoke, type FunctionSpec } from './support/functions.ts';
import { jsonOf, send } from './support/http-call.ts';
import { signedCall } from './support/signed-call.ts';

/** Every one answers an event with it, behind its own name. */
const FUNCTIONS: Readonly<Record<string, FunctionSpec>> = {
  nodejs: { code: 'exports.handler = async (event) => "nodejs " + event.toString();' },
  python: { code: 'def handler(event, context):\n    return b"python " + event', language: 'python' },
  hot: {
    code: { 'program.sh': 'printf "hot "; cat' },
    fields: {
      runtime: 'hot',
      customRuntimeConfig: { command: ['sh', '/code/program.sh'] },
      hotConfig: { format: 'default' },
    },
  },
};
const SERVER = `require('node:http').createServer((request, response) => {
  request.setEncoding('utf8');
  let body = '';
  request.on('data', (text) => { body += text; });
  request.on('end', () => response.end('custom ' + body));
}).listen(9000);`;
const CUSTOM: FunctionSpec = {
  code: { 'server.cjs': SERVER },
  fields: { runtime: 'custom', customRuntimeConfig: { command: ['node', 'server.cjs'] } },
};
const JAVA = `package own;
public class Main {
    public String handle(String event) { return "java " + event; }
}`;

test('a platform with every mechanism off runs functions of every kind', async (t) => {
  const platform = await startPlatform(t, { arguments: optionsWithout(MECHANISMS) });
  const { stems } = jsonOf<{ stems: Readonly<Record<string, unknown>> }>(
    await signedCall(platform, { method: 'GET', path: '/thaw/v1/info' }),
  );
  assert.deepEqual([stems['perKind'], stems['loaded']], [0, 0]);
  for (const [name, spec] of Object.entries(FUNCTIONS)) {
    await t.test(name, async () => {
      await createFunction(platform, name, spec);
      // The second call finds the first one's instance.
      for (const event of ['one', 'two'])
        assert.equal((await invoke(platform, name, event)).body.toString(), `${name} ${event}`);
    });
  }
  await t.test('custom', async () => {
    await createFunction(platform, 'custom', CUSTOM);
    assert.equal((await invoke(platform, 'custom', 'one')).body.toString(), 'custom one');
    const url = await createHttpTrigger(platform, 'custom');
    const answer = await send(url, { method: 'POST', path: new URL(url).pathname, body: 'two' });
    assert.equal(answer.body.toString(), 'custom two');
  });
  const [jdk] = findJdks();
  const skip = jdk === undefined ? 'this machine has no JDK 17 or newer' : false;
  await t.test('java', { skip }, async (own) => {
    if (jdk === undefined) return;
    const fields = { runtime: `java${jdk.major}`, handler: 'own.Main::handle', memorySize: 256 };
    await createFunction(platform, 'java', { code: await compiled(own, jdk.home), fields });
    for (const event of ['one', 'two'])
      assert.equal((await invoke(platform, 'java', event)).body.toString(), `java ${event}`);
  });
});

async function compiled(t: TestContext, home: string): Promise<Record<string, Buffer>> {
  const directory = await temporaryDirectory(t);
  const [sources, classes] = [join(directory, 'sources'), join(directory, 'classes')];
  await mkdir(sources);
  await writeFile(join(sources, 'Main.java'), JAVA);
  await compile({ home, major: 0 }, sources, classes, ['--release', '17']);
  return filesBelow(classes);
}

test('the documentation has every mechanism that can be switched off, and its option', async () => {
  const text = await readFile(join(ROOT, 'docs/ARCHITECTURE.md'), 'utf8');
  const section = text.split('\n## Switched off\n')[1]?.split('\n## ')[0] ?? '';
  const told = [...section.matchAll(/^\|.*\| +`(--[^`]+)` +\| +`([a-z-]+)` +\|$/gmu)].map(
    ([, option, name]) => `${name} ${option}`,
  );
  const known = MECHANISMS.map((name) => `${name} ${optionsWithout([name]).join(' ')}`);
  assert.deepEqual(told.toSorted(), known.toSorted());
});
