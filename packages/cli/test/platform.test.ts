import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Outcome, run, type RunOptions, start, waitFor } from './run-thaw.ts';
import { temporaryDirectory, type TemporaryDirectory } from './temporary-directory.ts';

/** The commands against a real platform, one life of a project after the other. */

const CODE = `exports.handler = async (event, context) => {
  console.log('got ' + event.length);
  if (event.toString() === 'fail') throw new RangeError('as asked');
  return event.length === 0 ? process.env.GREETING : event;
};
`;

function template(greeting: string, runtime: string): string {
  return `edition: 3.0.0
resources:
  echo:
    component: fc3
    props:
      functionName: echo
      runtime: nodejs20
      handler: index.handler
      timeout: 10
      code: ./echo
      environmentVariables: { GREETING: ${greeting} }
      instanceLifecycleConfig: {}
      tags: [{ key: team, value: a }]
      triggers:
        - triggerName: web
          triggerType: http
          triggerConfig: { authType: anonymous, methods: [GET, POST] }
  other:
    component: fc3
    props: { functionName: other, runtime: ${runtime}, handler: index.handler, code: ./echo }
`;
}

let directory: TemporaryDirectory;
let server: ReturnType<typeof start>;
let dataDir: string;

before(async () => {
  directory = await temporaryDirectory();
  dataDir = join(directory.path, 'data');
  server = start(['serve', '--port', '0', '--data-dir', dataDir]);
  let printed = '';
  for (const stream of [server.stdout, server.stderr])
    stream?.on('data', (chunk) => (printed += String(chunk)));
  await waitFor('the platform', () => {
    assert.equal(server.exitCode, null, printed);
    return existsSync(join(dataDir, 'daemon.json'));
  });
  await directory.write('echo/index.js', CODE);
});

after(async () => {
  if (server.exitCode === null && server.kill('SIGTERM')) await once(server, 'exit');
  await directory[Symbol.asyncDispose]();
});

function thaw(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return run([...args, '--data-dir', dataDir], { cwd: directory.path, ...options });
}

async function json(args: readonly string[], options?: RunOptions): Promise<unknown> {
  const { code, stdout, stderr } = await thaw([...args, '--json'], options);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

test('the platform tells about itself', async () => {
  const info = await json(['info']);
  assert.ok(typeof info === 'object' && info !== null && 'runtimes' in info && 'version' in info);
});

test('deploy: one bad resource does not keep the other from it, and the code says whose fault it is', async () => {
  await directory.write('s.yaml', template('hello', 'cobol85'));
  const { code, stdout, stderr } = await thaw(['deploy']);
  assert.equal(code, 2, stderr);
  assert.match(stdout, /^\+ echo: created\n(.*\n)* {4}http:\/\/.*\/echo\/web\/\n! other: failed$/m);
  assert.match(stderr, /cobol85/);
});

test('deploy: again does nothing; a change is told field by field', async () => {
  await directory.write('s.yaml', template('hello', 'nodejs20'));
  assert.match((await thaw(['deploy'])).stdout, /^= echo: unchanged\n(.*\n)*\+ other: created/m);
  const again = await thaw(['deploy']);
  assert.match(again.stdout, /^= echo: unchanged\n {4}http.*\n= other: unchanged\n$/);
  await directory.write('s.yaml', template('salut', 'nodejs20').replace('timeout: 10', 'timeout: 20'));
  const changed = await thaw(['deploy', '--only', 'echo']);
  const expected =
    /^~ echo: updated\n {4}timeout: 10 -> 20\n {4}environmentVariables\.GREETING: hello -> salut\n/;
  assert.match(changed.stdout, expected);
  await directory.write('echo/more.js', '// more\n');
  assert.match(
    (await thaw(['deploy', '--only', 'echo'])).stdout,
    /^~ echo: updated\n {4}code: \d+ B -> \d+ B\n/,
  );
});

test('invoke: bytes through a real function, its failure, its log', async () => {
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  await directory.write('event', '');
  const target = join(directory.path, 'result');
  const sent = await thaw(['invoke', 'echo', '-o', target, '--timeline', '--log'], { input: bytes });
  assert.equal(sent.code, 0, sent.stderr);
  assert.match(sent.stderr, /got 256\n/);
  assert.match(sent.stderr, /handler +█/);
  const { readFile } = await import('node:fs/promises');
  assert.deepEqual(await readFile(target), bytes);
  assert.equal((await thaw(['invoke', 'echo', '-d', ''])).stdout, 'salut');
  const failed = await thaw(['invoke', 'echo', '-d', 'fail']);
  assert.deepEqual([failed.code, failed.stdout], [3, '']);
  assert.match(failed.stderr, /RangeError: as asked\n +at /);
  const missing = await thaw(['invoke', 'nobody', '-d', '']);
  assert.equal(missing.code, 2);
  assert.match(missing.stderr, /nobody/);
});

test('logs and records of one invocation', async () => {
  const result = await json(['invoke', 'echo', '-d', 'four']);
  assert.ok(typeof result === 'object' && result !== null && 'requestId' in result);
  const requestId = String(result.requestId);
  const lines = await thaw(['logs', '--request', requestId, '--json']);
  assert.match(lines.stdout, /^\{.*"text":".*got 4".*\}\n/m);
  const record = await json(['invocation', 'get', requestId]);
  assert.ok(typeof record === 'object' && record !== null && 'functionName' in record);
  assert.equal(record.functionName, 'echo');
  assert.match((await thaw(['invocation', 'list', '--function', 'echo'])).stdout, new RegExp(requestId));
});

test('versions and aliases', async () => {
  assert.equal(
    (await thaw(['version', 'publish', 'echo', '--description', 'first'])).stdout,
    'published version 1 of echo\n',
  );
  await thaw(['version', 'publish', 'echo']);
  await directory.write('s.yaml', template('ciao', 'nodejs20'));
  await thaw(['deploy']);
  await thaw(['version', 'publish', 'echo']);
  const set = await thaw(['alias', 'set', 'echo', 'prod', '--version', '1', '--weight', '2=0.2']);
  assert.equal(set.stdout, 'echo:prod -> 1 80 %, 2 20 %\n', set.stderr);
  assert.equal((await thaw(['invoke', 'echo', '-d', '', '--qualifier', 'prod'])).stdout, 'salut');
  assert.equal((await thaw(['invoke', 'echo', '-d', ''])).stdout, 'ciao');
  assert.match((await thaw(['alias', 'list', 'echo'])).stdout, /prod +1 80 %, 2 20 %/);
  assert.equal(
    (await thaw(['alias', 'set', 'echo', 'prod', '--version', '2'])).stdout,
    'echo:prod -> 2 100 %\n',
  );
  assert.match((await thaw(['function', 'list'])).stdout, /^echo +nodejs20/m);
  assert.match((await thaw(['function', 'get', 'echo'])).stdout, /GREETING=ciao/);
});

test('dev: a change runs with the next request, a change of the file is deployed, and logs come', async () => {
  const dev = start(['dev', '--json', '--data-dir', dataDir], { cwd: directory.path });
  let printed = '';
  let errors = '';
  dev.stdout?.on('data', (chunk) => (printed += String(chunk)));
  dev.stderr?.on('data', (chunk) => (errors += String(chunk)));
  try {
    await waitFor('the first round', () => printed.includes('"watching"'));
    await directory.write('echo/index.js', CODE.replace('process.env.GREETING', "'edited'"));
    await waitFor('the change', () => printed.includes('"reloaded"'));
    assert.equal((await thaw(['invoke', 'echo', '-d', ''])).stdout, 'edited', errors);
    await waitFor('the log', () => printed.includes('got 0'));
    await directory.write('s.yaml', template('hola', 'nodejs20').replace('timeout: 10', 'timeout: 7'));
    await waitFor('the second round', () => printed.split('"watching"').length === 3);
    const found = await json(['function', 'get', 'echo']);
    assert.ok(typeof found === 'object' && found !== null && 'timeout' in found);
    assert.equal(found.timeout, 7);
  } finally {
    dev.kill('SIGINT');
    await once(dev, 'exit');
  }
  assert.equal(dev.exitCode, 130, errors);
});

test('remove: not without a word, then all of it', async () => {
  assert.equal((await thaw(['remove'])).code, 2);
  assert.equal((await thaw(['remove', '--yes'])).stdout, '- echo: removed\n- other: removed\n');
  assert.deepEqual(await json(['function', 'list']), []);
  assert.equal((await thaw(['remove', '--yes'])).stdout, '= echo: was not there\n= other: was not there\n');
});
