import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { run, start, waitFor } from './run-thaw.ts';
import { startStubServer, type StubServer } from './stub-server.ts';
import { temporaryDirectory } from './temporary-directory.ts';

function toServer(server: StubServer): Record<string, string> {
  const { url, accessKeyId, accessKeySecret } = server.platform;
  return { THAW_ENDPOINT: url, THAW_ACCESS_KEY_ID: accessKeyId, THAW_ACCESS_KEY_SECRET: accessKeySecret };
}

/** A Node of this machine that is too old to run Thaw by itself. */
function findOldNode(): string | undefined {
  for (const directory of (process.env['PATH'] ?? '').split(delimiter)) {
    const node = join(directory, 'node');
    if (!existsSync(node)) continue;
    const major = Number.parseInt(execFileSync(node, ['--version'], { encoding: 'utf8' }).slice(1), 10);
    if (major >= 18 && major < 26) return node;
  }
  return undefined;
}

test('help and version go to stdout; mistakes are the caller’s, with code 2', async () => {
  assert.match((await run(['--version'])).stdout, /^\d+\.\d+\.\d+\n$/);
  const help = await run(['help']);
  assert.equal(help.code, 0);
  assert.match(help.stdout, /invoke \[options\] <function>/);
  for (const args of [
    ['help', 'invoke'],
    ['invoke', '--help'],
    ['alias', 'set', '--help'],
  ]) {
    const shown = await run(args);
    assert.equal(shown.code, 0, args.join(' '));
    assert.match(shown.stdout, args.includes('set') ? /--weight/ : /--timeline/);
  }
  for (const args of [
    ['nonsense'],
    ['invoke'],
    ['function'],
    ['invoke', 'a', '--wat'],
    ['serve', '--port', 'x'],
  ]) {
    const mistake = await run(args);
    assert.equal(mistake.code, 2, args.join(' '));
    assert.equal(mistake.stdout, '');
    assert.notEqual(mistake.stderr, '');
  }
});

test('without a platform: code 1, and how to start one', async () => {
  const { code, stdout, stderr } = await run(['function', 'list']);
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(stderr, /no platform runs .*\n.*thaw serve/);
  const asJson = await run(['function', 'list', '--json']);
  assert.equal(asJson.code, 1);
  assert.deepEqual(Object.keys(JSON.parse(asJson.stdout).error), [
    'code',
    'message',
    'fault',
    'causes',
    'advice',
  ]);
});

test('invoke: bytes in and out untouched, its timeline and log on stderr', async () => {
  await using server = await startStubServer((call, response) => {
    response.writeHead(200, {
      'x-fc-request-id': '1-a-b',
      'server-timing': 'handler;dur=5, lastByte;dur=10',
      'x-fc-log-result': Buffer.from('printed\n').toString('base64'),
    });
    response.end(Buffer.concat([call.body, Buffer.from([0x00, 0xff])]));
  });
  const env = toServer(server);
  const child = start(['invoke', 'f', '--qualifier', 'prod', '--log', '--timeline'], { env, input: 'in' });
  assert.ok(child.stdout !== null && child.stderr !== null);
  const [out, error] = await Promise.all([child.stdout.toArray(), text(child.stderr)]);
  assert.deepEqual(Buffer.concat(out), Buffer.from([0x69, 0x6e, 0x00, 0xff]));
  assert.match(error, /^printed\n1-a-b · warm · 10\.0 ms \(handler 5\.00 ms\)\nhandler {4}█/);
  assert.equal(server.calls[0]?.path, '/2023-03-30/functions/f/invocations');
  assert.equal(server.calls[0]?.query.get('qualifier'), 'prod');
  assert.equal(server.calls[0]?.headers['x-fc-log-type'], 'Tail');

  const json = await run(['invoke', 'f', '-d', 'x', '--json'], { env });
  assert.deepEqual(JSON.parse(json.stdout), {
    requestId: '1-a-b',
    timeline: { handler: 5, lastByte: 10 },
    bodyBase64: Buffer.from([0x78, 0x00, 0xff]).toString('base64'),
  });

  await using directory = await temporaryDirectory();
  const event = await directory.write('event', 'file');
  const target = join(directory.path, 'result');
  const written = await run(['invoke', 'f', '-f', event, '-o', target], { env });
  assert.deepEqual([written.code, written.stdout], [0, '']);
  assert.deepEqual(readFileSync(target), Buffer.from('file\0\xff', 'latin1'));
});

test('invoke: a failure of the function is code 3, readable on stderr', async () => {
  await using server = await startStubServer((_call, response) => {
    response.writeHead(200, { 'x-fc-error-type': 'UnhandledInvocationError' });
    response.end('{"errorType":"RangeError","errorMessage":"too far","stackTrace":["at x.js:1:1"]}');
  });
  const { code, stdout, stderr } = await run(['invoke', 'f', '-d', ''], { env: toServer(server) });
  assert.deepEqual([code, stdout], [3, '']);
  assert.match(stderr, /RangeError: too far\n {4}at x\.js:1:1/);
});

/** A server whose answer to `logs -f` never ends. */
function startLogServer(): Promise<StubServer> {
  return startStubServer((_call, response) => {
    const line = { time: 0, functionName: 'f', requestId: '1-a-b', source: 'stdout', text: 'hi' };
    response.write(`${JSON.stringify(line)}\n`);
  });
}

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  test(`logs -f prints lines as they come and ends with ${code} on ${signal}`, async () => {
    await using server = await startLogServer();
    const child = start(['logs', 'f', '-f', '--json'], { env: toServer(server) });
    let printed = '';
    child.stdout?.on('data', (chunk) => (printed += String(chunk)));
    await waitFor('the first line', () => printed.endsWith('\n'));
    assert.equal(JSON.parse(printed).text, 'hi');
    child.kill(signal);
    await once(child, 'exit');
    assert.equal(child.exitCode, code);
  });
}

const oldNode = findOldNode();
const skip = oldNode === undefined ? 'needs a Node from 18 to 25 in PATH' : false;

test('on an old Node: exit codes come through', { skip }, async () => {
  const options = { node: oldNode ?? '' };
  assert.equal((await run(['--version'], options)).code, 0);
  assert.equal((await run(['nonsense'], options)).code, 2);
  assert.equal((await run(['info'], options)).code, 1);
});

test('on an old Node: one signal to the command is one signal to the program', { skip }, async () => {
  await using server = await startLogServer();
  const child = start(['logs', 'f', '-f'], { node: oldNode ?? '', env: toServer(server) });
  let printed = '';
  child.stdout?.on('data', (chunk) => (printed += String(chunk)));
  await waitFor('the first line', () => printed.endsWith('\n'));
  child.kill('SIGINT');
  await once(child, 'exit');
  assert.equal(child.exitCode, 130);
});

test('on an old Node: the program ends when the command is killed', { skip }, async () => {
  await using server = await startLogServer();
  const child = start(['logs', 'f', '-f'], { node: oldNode ?? '', env: toServer(server) });
  assert.ok(child.stdout !== null);
  // The program inherits the pipe: it ends when the last one that holds it has gone.
  const isClosed = once(child.stdout, 'close');
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await isClosed;
});
