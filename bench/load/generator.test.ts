import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import { test, type TestContext } from 'node:test';
import { generate, mixedThroughput } from './load.ts';

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return `http://127.0.0.1:${address.port}/`;
}

test('a closed loop sends what it is told to, in turn, and reads whole answers of both framings', async (t) => {
  const bodies: string[] = [];
  const url = await serve(t, (request, response) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (text: string) => {
      body += text;
    });
    request.on('end', () => {
      bodies.push(`${request.url} ${body}`);
      if (request.url === '/whole') {
        response.end('x'.repeat(100_000));
        return;
      }
      response.setHeader('trailer', 'server-timing');
      for (let piece = 0; piece < 50; piece += 1) response.write('0\r\n\r\n'.repeat(piece));
      response.addTrailers({ 'server-timing': 'handler;dur=1' });
      response.end();
    });
  });
  const shots = [
    { url: `${url}whole`, body: 'a' },
    { url: `${url}chunked`, body: 'b' },
  ];
  const outcome = await generate(shots, { connections: 1, seconds: 30, count: 20 });
  assert.equal(outcome.requests, 20);
  assert.equal(outcome.failed, 0);
  assert.deepEqual(
    bodies,
    Array.from({ length: 20 }, (_, n) => (n % 2 === 0 ? '/whole a' : '/chunked b')),
  );
});

test('answers that are no success and connections that break are failures', async (t) => {
  let count = 0;
  const url = await serve(t, (request, response) => {
    count += 1;
    if (count % 3 === 0) response.writeHead(500).end();
    else if (count % 3 === 1) request.socket.destroy();
    else response.end('fine');
  });
  const outcome = await generate([{ url }], { connections: 1, seconds: 30, count: 9 });
  assert.deepEqual([outcome.requests, outcome.failed], [9, 6]);
});

test('an open loop sends on while answers stall, and counts each latency from when its request was due', async (t) => {
  const held: (() => void)[] = [];
  const url = await serve(t, (_request, response) => {
    held.push(() => response.end());
    // The first answer comes when the last request has.
    if (held.length === 20) for (const answer of held) answer();
  });
  const outcome = await generate([{ url }], { connections: 20, seconds: 30, rate: 100, count: 20 });
  assert.deepEqual([outcome.requests, outcome.failed], [20, 0]);
  // The first was due 190 ms before the last.
  assert.ok(outcome.max >= 190, `the longest latency is ${outcome.max} ms`);
});

test('wrk, where there is one, and the generator send the same requests', async (t) => {
  const seen = new Set<string>();
  const url = await serve(t, (request, response) => {
    seen.add(`${request.method} ${request.url} ${request.headers['content-length']}`);
    request.resume();
    response.end();
  });
  const shots = [
    { url: `${url}one`, body: '{"name":"x"}' },
    { url: `${url}two`, method: 'PUT', body: 'a\nb' },
  ];
  for (const seconds of [1, 0.2]) {
    seen.clear();
    const { failed } = await mixedThroughput(shots, { connections: 2, seconds });
    assert.equal(failed, 0);
    assert.deepEqual([...seen].toSorted(), ['POST /one 12', 'PUT /two 3']);
  }
});
