import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { test } from 'node:test';
import { startPlatform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { createFunction, createHttpTrigger, invoke } from './support/functions.ts';
import { jsonOf, send, type Answer } from './support/http-call.ts';

/** Counts in memory: an answer with a count that came before was not made by a run. `hold` waits until it is let go. */
const SHOP = `
let orders = 0;
let held;
exports.handler = (req, resp) => {
  const chunks = [];
  req.on('data', (chunk) => chunks.push(chunk));
  req.on('end', () => {
    const path = req.url.split('?')[0];
    if (path === '/count') return resp.end(String(orders));
    if (path === '/let-go') { held?.(); return resp.end(); }
    const order = ++orders;
    if (path === '/large') return resp.end(Buffer.alloc(2_000_000));
    const answer = () => {
      resp.statusCode = 201;
      resp.setHeader('Set-Cookie', ['a=1', 'b=2']);
      resp.end(JSON.stringify({ order, body: Buffer.concat(chunks).toString() }));
    };
    if (path === '/hold') held = answer;
    else answer();
  });
};`;

const COUNTER = `
let runs = 0;
exports.handler = async (event) => {
  runs += 1;
  if (event.toString() === 'throw') throw new Error('run ' + runs);
  return String(runs);
};`;

const WEB = '/http/shop/web';
const REPLAYED = 'idempotency-replayed';

function codeOf(answer: Answer): [number, string] {
  return [answer.status, jsonOf<{ Code: string }>(answer).Code];
}

test('a call with an idempotency key is carried out once', async (t) => {
  const platform = await startPlatform(t);
  await createFunction(platform, 'shop', {
    code: SHOP,
    fields: { timeout: 60, instanceConcurrency: 10 },
  });
  await createHttpTrigger(platform, 'shop');
  await createFunction(platform, 'counter', { code: COUNTER });
  let { url } = platform;
  const order = (key: string, body = 'book', path = '/order', more: object = {}): Promise<Answer> =>
    send(url, {
      method: 'POST',
      path: WEB + path,
      headers: { 'idempotency-key': key, ...more },
      body,
    });
  const count = async (): Promise<number> =>
    Number((await send(url, { path: `${WEB}/count` })).body.toString());

  const first = await order('one');
  assert.deepEqual([first.status, jsonOf(first)], [201, { order: 1, body: 'book' }]);
  assert.equal(first.headers[REPLAYED], undefined);

  await t.test('its answer is given again as it was', async () => {
    const second = await order('one');
    assert.equal(second.headers[REPLAYED], 'true');
    assert.equal(second.status, 201);
    assert.deepEqual(second.body, first.body);
    assert.deepEqual(second.headers['set-cookie'], ['a=1', 'b=2']);
    assert.equal(second.headers['x-fc-request-id'], first.headers['x-fc-request-id']);
    assert.equal(await count(), 1);
  });

  await t.test('the key of another request is refused, another key is another call', async () => {
    assert.deepEqual(codeOf(await order('one', 'bike')), [422, 'IDEMPOTENCY_KEY_REUSED']);
    assert.deepEqual(codeOf(await order('one', 'book', '/order?x=1')), [422, 'IDEMPOTENCY_KEY_REUSED']);
    assert.deepEqual(jsonOf(await order('two')), { order: 2, body: 'book' });
    assert.equal((await order('k'.repeat(256))).status, 400);
    assert.equal((await order('three', '', '/order', { 'x-fc-invocation-type': 'Async' })).status, 400);
  });

  await t.test('an answer that is too large to keep is not made again', async () => {
    assert.equal((await order('large', '', '/large')).body.length, 2_000_000);
    assert.deepEqual(codeOf(await order('large', '', '/large')), [409, 'IDEMPOTENCY_ANSWER_NOT_KEPT']);
  });

  await t.test('while it runs others are told to come back, and it outlives its caller', async () => {
    const before = await count();
    const { hostname, port } = new URL(url);
    const headers = { 'idempotency-key': 'slow' };
    const path = `${WEB}/hold`;
    const gone = httpRequest({ hostname, port, path, method: 'POST', headers, agent: false });
    gone.on('error', () => undefined);
    gone.end('');
    await waitFor('the call to run', async () => ((await count()) === before + 1 ? true : undefined));
    const meanwhile = await order('slow', '', '/hold');
    assert.deepEqual(codeOf(meanwhile), [409, 'IDEMPOTENCY_KEY_IN_USE']);
    assert.equal(meanwhile.headers['retry-after'], '1');
    gone.destroy();
    await send(url, { path: `${WEB}/let-go` });
    const answer = await waitFor('the answer to be kept', async () => {
      const again = await order('slow', '', '/hold');
      return again.status === 409 ? undefined : again;
    });
    assert.equal(answer.headers[REPLAYED], 'true');
    assert.equal(answer.status, 201);
    assert.equal(await count(), before + 1);
  });

  const headers = { 'idempotency-key': 'one' };
  await t.test('calls of the invoke API have keys of their own, failures are answers too', async () => {
    assert.equal((await invoke(platform, 'counter', 'x', { headers })).body.toString(), '1');
    const again = await invoke(platform, 'counter', 'x', { headers });
    assert.deepEqual([again.body.toString(), again.headers[REPLAYED]], ['1', 'true']);
    assert.deepEqual(codeOf(await invoke(platform, 'counter', 'y', { headers })), [
      422,
      'IdempotencyKeyReused',
    ]);
    const failing = { headers: { 'idempotency-key': 'fails' } };
    const failed = await invoke(platform, 'counter', 'throw', failing);
    const failedAgain = await invoke(platform, 'counter', 'throw', failing);
    assert.equal(failed.headers['x-fc-error-type'], 'UnhandledInvocationError');
    assert.equal(failedAgain.headers['x-fc-error-type'], 'UnhandledInvocationError');
    assert.deepEqual(failedAgain.body, failed.body);
    assert.equal(failedAgain.headers[REPLAYED], 'true');
  });

  await t.test('what was answered survives the death of the platform', async () => {
    await platform.kill();
    const next = await startPlatform(t, { dataDir: platform.dataDir });
    url = next.url;
    const again = await order('one');
    assert.deepEqual([again.headers[REPLAYED], again.body], ['true', first.body]);
    assert.equal((await invoke(next, 'counter', 'x', { headers })).headers[REPLAYED], 'true');
    assert.equal(await count(), 0);
  });
});
