import assert from 'node:assert/strict';
import { createHmac, hash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import {
  acs3Authorization,
  acs3CanonicalRequest,
  acs3HeadersToSign,
  acs3StringToSign,
} from '@thaw/protocol/acs3.ts';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { openTemporaryCatalog, zipOf, type TemporaryCatalog } from '../../catalog/temporary-catalog.ts';
import { serveFc, SERVED_ACCOUNT, TEST_KEY, type FcServer } from './fc-door-fixture.ts';

interface Served extends AsyncDisposable {
  readonly server: FcServer;
  readonly temporary: TemporaryCatalog;
}

async function serve(): Promise<Served> {
  const temporary = await openTemporaryCatalog();
  const server = await serveFc(temporary.catalog, temporary.blobs, temporary.directory);
  return {
    server,
    temporary,
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      await temporary[Symbol.asyncDispose]();
    },
  };
}

function acs3Headers(
  server: FcServer,
  method: string,
  path: string,
  query: string,
  body: Buffer,
): Record<string, string> {
  const bodySha256 = hash('sha256', body);
  const headers = {
    host: server.endpoint,
    'x-acs-date': new Date().toISOString(),
    'x-acs-signature-nonce': randomBytes(8).toString('hex'),
    'x-acs-content-sha256': bodySha256,
  };
  const signedHeaders = acs3HeadersToSign(headers);
  const canonical = acs3CanonicalRequest({ method, path, query, headers, signedHeaders, bodySha256 });
  const signature = createHmac('sha256', TEST_KEY.accessKeySecret)
    .update(acs3StringToSign(hash('sha256', canonical)))
    .digest('hex');
  const authorization = acs3Authorization({ accessKeyId: TEST_KEY.accessKeyId, signedHeaders, signature });
  return { ...headers, authorization };
}

interface Answer {
  readonly status: number;
  readonly json: { readonly Code: string; readonly Message: string; readonly RequestId: string };
}

async function send(
  server: FcServer,
  method: string,
  target: string,
  body: string | Buffer = '',
): Promise<Answer> {
  const [path = '', query = ''] = target.split('?', 2);
  const bytes = Buffer.from(body);
  const response = await fetch(`http://${server.endpoint}${target}`, {
    method,
    headers: acs3Headers(server, method, path, query, bytes),
    ...(bytes.length === 0 ? {} : { body: bytes }),
  });
  return { status: response.status, json: JSON.parse(await response.text()) };
}

test('every malformed request gets its own clear error and none is a failure of the platform', async () => {
  await using served = await serve();
  const { server } = served;
  const deep = '['.repeat(5000) + ']'.repeat(5000);
  const cases: readonly [string, string, string | Buffer, number, string][] = [
    ['POST', '/2023-03-30/functions', '{"functionName":', 400, 'InvalidArgument'],
    ['POST', '/2023-03-30/functions', '[]', 400, 'InvalidArgument'],
    ['POST', '/2023-03-30/functions', 'null', 400, 'InvalidArgument'],
    ['POST', '/2023-03-30/functions', deep, 400, 'InvalidArgument'],
    ['POST', '/2023-03-30/functions', Buffer.from([0x22, 0xff, 0xfe, 0x22]), 400, 'InvalidArgument'],
    ['POST', '/2023-03-30/functions', '{"functionName":"a","__proto__":{"x":1}}', 400, 'InvalidArgument'],
    ['PUT', '/2023-03-30/functions', '{}', 405, 'PathNotSupported'],
    ['PATCH', '/2023-03-30/functions/f', '{}', 405, 'PathNotSupported'],
    ['GET', '/2023-03-30/nothing/here', '', 400, 'PathNotSupported'],
    ['GET', '/2023-03-30/functions/%00', '', 404, 'FunctionNotFound'],
    ['GET', '/2023-03-30/functions/%E0%A4%A', '', 400, 'InvalidArgument'],
    ['GET', '/2023-03-30/functions/..%2F..%2Fetc', '', 404, 'FunctionNotFound'],
    ['GET', '/2023-03-30/functions?limit=ten', '', 400, 'InvalidArgument'],
    ['GET', '/2023-03-30/functions?tags=nonsense', '', 400, 'InvalidArgument'],
    ['GET', '/2023-03-30/functions/f?qualifier=a/b', '', 400, 'InvalidArgument'],
    [
      'POST',
      '/2023-03-30/tags-v2',
      '{"ResourceType":"function","ResourceId":["\\ud800"],"Tag":[{"Key":"k"}]}',
      404,
      'FunctionNotFound',
    ],
    [
      'PUT',
      '/2023-03-30/functions/f/concurrency',
      'x'.repeat(LIMITS.controlBodyBytesMax + 1),
      400,
      'EntityTooLarge',
    ],
  ];
  for (const [method, target, body, status, code] of cases) {
    const answer = await send(server, method, target, body);
    assert.deepEqual(
      [answer.status, answer.json.Code],
      [status, code],
      `${method} ${target}: ${answer.json.Message}`,
    );
    assert.match(answer.json.RequestId, /^1-/);
  }
  assert.deepEqual(server.failures, []);
});

test('a request without a signature is refused before its body is read', async () => {
  await using served = await serve();
  const { server } = served;
  const socket = connect({ host: '127.0.0.1', port: Number(server.endpoint.split(':')[1]) });
  socket.write(
    `POST /2023-03-30/functions HTTP/1.1\r\nHost: ${server.endpoint}\r\nContent-Length: 100000000\r\n\r\n{"`,
  );
  const [answer] = await once(socket, 'data');
  assert.match(String(answer), /^HTTP\/1\.1 400 [\s\S]*"Code":"MissingRequiredHeader"/);
  socket.destroy();
});

test('a body that ends early changes nothing', async () => {
  await using served = await serve();
  const { server, temporary } = served;
  const zip = (await zipOf({ 'index.js': '' })).toString('base64');
  const body = Buffer.from(
    JSON.stringify({ functionName: 'cut', runtime: 'nodejs20', handler: 'i.h', code: { zipFile: zip } }),
  );
  const headers = acs3Headers(server, 'POST', '/2023-03-30/functions', '', body);
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const socket = connect({ host: '127.0.0.1', port: Number(server.endpoint.split(':')[1]) });
  socket.write(
    `POST /2023-03-30/functions HTTP/1.1\r\n${head.join('')}Content-Length: ${body.length}\r\n\r\n`,
  );
  socket.end(body.subarray(0, body.length - 1));
  socket.resume();
  await once(socket, 'close');
  assert.equal(temporary.catalog.routes.has('cut'), false);
  assert.equal((await send(server, 'GET', '/2023-03-30/functions/cut')).json.Code, 'FunctionNotFound');
  assert.deepEqual(server.failures, []);
});

interface Grant {
  readonly credentials: {
    readonly AccessKeyId: string;
    readonly AccessKeySecret: string;
    readonly SecurityToken: string;
  };
  readonly ossBucket: string;
  readonly objectName: string;
}

async function requestGrant(server: FcServer): Promise<Grant> {
  const path = '/2016-08-15/tempBucketToken';
  const date = new Date().toUTCString();
  const signature = createHmac('sha256', TEST_KEY.accessKeySecret)
    .update(`GET\n\n\n${date}\n${path}`)
    .digest('base64');
  const response = await fetch(`http://${server.endpoint}${path}`, {
    headers: { date, authorization: `FC ${TEST_KEY.accessKeyId}:${signature}` },
  });
  assert.equal(response.status, 200);
  return JSON.parse(await response.text());
}

async function upload(server: FcServer, grant: Grant, objectName: string, zip: Buffer): Promise<Response> {
  const { credentials } = grant;
  const path = `/${SERVED_ACCOUNT}/${objectName}`;
  const date = new Date().toUTCString();
  const type = 'application/zip';
  const ossHeaders = `x-oss-date:${date}\nx-oss-security-token:${credentials.SecurityToken}\n`;
  const signature = createHmac('sha1', credentials.AccessKeySecret)
    .update(`PUT\n\n${type}\n${date}\n${ossHeaders}/${grant.ossBucket}${path}`)
    .digest('base64');
  return await fetch(`http://${server.endpoint}${path}`, {
    method: 'PUT',
    headers: {
      'content-type': type,
      'x-oss-date': date,
      'x-oss-security-token': credentials.SecurityToken,
      authorization: `OSS ${credentials.AccessKeyId}:${signature}`,
    },
    body: Buffer.from(zip),
  });
}

test('a zip that was uploaded with temporary credentials becomes a function, and they are good for nothing else', async () => {
  await using served = await serve();
  const { server, temporary } = served;
  const zip = await zipOf({ 'index.py': 'def handler(event, context): return event' });
  const grant = await requestGrant(server);
  const uploaded = await upload(server, grant, grant.objectName, zip);
  assert.equal(uploaded.status, 200);
  assert.match(uploaded.headers.get('etag') ?? '', /^"[0-9A-F]{32}"$/);
  const code = { ossBucketName: grant.ossBucket, ossObjectName: `${SERVED_ACCOUNT}/${grant.objectName}` };
  const input = { functionName: 'up', runtime: 'python3.10', handler: 'index.handler', code };
  assert.equal((await send(server, 'POST', '/2023-03-30/functions', JSON.stringify(input))).status, 200);
  assert.equal(temporary.catalog.routes.resolve('up', undefined, 0).family, 'python3');

  assert.equal((await upload(server, grant, 'another.zip', zip)).status, 403);
  const guess = { ...grant, credentials: { ...grant.credentials, AccessKeySecret: 'guess' } };
  assert.equal((await upload(server, guess, grant.objectName, zip)).status, 403);
  const forged = { ...grant, credentials: { ...grant.credentials, SecurityToken: 'code.zip.ffffffff.x' } };
  assert.equal((await upload(server, forged, grant.objectName, zip)).status, 403);
  assert.deepEqual(server.failures, []);
});

test('a download URL works for anybody until it is changed', async () => {
  await using served = await serve();
  const { server } = served;
  const zip = await zipOf({ 'index.js': '' });
  const code = { zipFile: zip.toString('base64') };
  const input = { functionName: 'f', runtime: 'nodejs20', handler: 'i.h', code };
  await send(server, 'POST', '/2023-03-30/functions', JSON.stringify(input));
  const { json } = await send(server, 'GET', '/2023-03-30/functions/f/code');
  const url = String(Reflect.get(json, 'url'));
  assert.deepEqual(Buffer.from(await (await fetch(url)).arrayBuffer()), zip);
  const changed = await fetch(`${url.slice(0, -1)}${url.endsWith('A') ? 'B' : 'A'}`);
  assert.equal(changed.status, 403);
  assert.match(await changed.text(), /AccessDenied/);
});
