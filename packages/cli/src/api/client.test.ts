import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { startStubServer } from '../../test/stub-server.ts';
import { apiPath, Client, nativePath } from './client.ts';
import { listAll } from './pages.ts';
import type { Platform } from './platform.ts';
import { sendCode } from './upload.ts';
import { temporaryDirectory } from '../../test/temporary-directory.ts';

function connect(platform: Platform): Client & Disposable {
  const client = new Client(platform, new AbortController().signal);
  return Object.assign(client, { [Symbol.dispose]: () => client.close() });
}

test('signs so that the canonical functions of the daemon agree: paths, queries, bodies', async () => {
  await using server = await startStubServer((_call, response) => response.end('{"ok":true}'));
  using client = connect(server.platform);
  const path = apiPath('functions', "a b/c*~+'ü");
  const query = { q: "x y&z=*~+'ü", empty: '', n: 3, none: undefined };
  assert.deepEqual(await client.json({ method: 'PUT', path, query, json: { text: 'ü' } }), { ok: true });
  await client.send({
    method: 'POST',
    path: nativePath('functions', 'f', 'live'),
    body: Buffer.from([0, 255]),
  });
  await client.send({ method: 'GET', path });
  const [put, post] = server.calls;
  assert.equal(decodeURIComponent(put?.path ?? ''), "/2023-03-30/functions/a b/c*~+'ü");
  assert.deepEqual(Object.fromEntries(put?.query ?? []), { q: "x y&z=*~+'ü", empty: '', n: '3' });
  assert.equal(put?.body.toString(), '{"text":"ü"}');
  assert.deepEqual(post?.body, Buffer.from([0, 255]));
});

test('a refusal becomes an error of this project with the code, the text and the request id', async () => {
  const bodies = [
    '{"Code":"FunctionNotFound","Message":"function \'f\' does not exist"}',
    '{"Code":"INVOCATION_NOT_FOUND","Message":"no record"}',
    '<html>bad gateway</html>',
  ];
  await using server = await startStubServer((call, response) => {
    const index = Number(call.query.get('case'));
    response.writeHead(index === 2 ? 502 : 404, { 'x-fc-request-id': `1-a-${index}` });
    response.end(bodies[index]);
  });
  using client = connect(server.platform);
  const call = { method: 'GET', path: apiPath('functions', 'f') } as const;
  const expected = ['FUNCTION_NOT_FOUND', 'INVOCATION_NOT_FOUND', 'INTERNAL'];
  for (const [index, code] of expected.entries()) {
    await assert.rejects(client.json({ ...call, query: { case: index } }), (error) => {
      assert.ok(error instanceof ThawError);
      assert.equal(error.code, code);
      assert.equal(error.details['requestId'], `1-a-${index}`);
      return true;
    });
  }
  assert.equal(await client.find({ ...call, query: { case: 0 } }), undefined);
});

test('says whose fault a wrong secret and a silent address are', async () => {
  let url: string;
  {
    await using server = await startStubServer((_call, response) => response.end());
    url = server.platform.url;
    using client = connect({ ...server.platform, accessKeySecret: 'wrong' });
    await assert.rejects(client.send({ method: 'GET', path: '/x' }), { code: 'SIGNATURE_INVALID' });
  }
  using client = connect({ url, accessKeyId: 'a', accessKeySecret: 'b' });
  await assert.rejects(client.send({ method: 'GET', path: '/x' }), { code: 'PLATFORM_UNREACHABLE' });
});

test('follows pages to the end', async () => {
  await using server = await startStubServer((call, response) => {
    const token = call.query.get('nextToken');
    response.end(JSON.stringify(token === null ? { items: [1, 2], nextToken: 'n' } : { items: [3] }));
  });
  using client = connect(server.platform);
  assert.deepEqual(await listAll<number>(client, '/list', 'items', { prefix: 'p' }), [1, 2, 3]);
  assert.deepEqual(
    server.calls.map((call) => call.query.get('prefix')),
    ['p', 'p'],
  );
});

test('small code travels as base64 in the call', async () => {
  await using server = await startStubServer((_call, response) => response.end());
  await using directory = await temporaryDirectory();
  using client = connect(server.platform);
  const file = await directory.write('code.zip', 'PK');
  assert.deepEqual(await sendCode(client, { file, size: 2 }), { zipFile: 'UEs=' });
  assert.deepEqual(server.calls, []);
});
