import assert from 'node:assert/strict';
import { createServer, type Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { array, assert as assertAlways, asyncProperty, string } from 'fast-check';
import { RecordingSink, settled } from '../recording-sink.ts';
import type { HttpRequest } from '../transport.ts';
import { ANSWER_HEAD_BYTES_MAX } from './server-connection.ts';
import { connectFor, httpRequest, portOf } from './server-fixture.ts';

const HEAD = 'HTTP/1.1 200 OK\r\n';
const WHOLE = `${HEAD}Content-Length: 2\r\n\r\nok`;

/** A server that sends what it is told for each request, whatever that is, and may close the connection after it. */
async function rawServer(
  t: TestContext,
  answer: (socket: Socket, request: string, carried: number) => void,
): Promise<{
  readonly ask: (request?: HttpRequest) => Promise<RecordingSink>;
  readonly connections: () => number;
}> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    let carried = 0;
    socket.on('error', () => undefined);
    socket.on('data', (bytes: Buffer) => {
      carried += 1;
      answer(socket, bytes.toString('latin1'), carried);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const connection = connectFor(t, portOf(server));
  return {
    ask: async (request = httpRequest('GET', '/')) => {
      const sink = new RecordingSink();
      connection.exchange(request, sink);
      await sink.ended;
      return sink;
    },
    connections: () => sockets.size,
  };
}

function outcome(sink: RecordingSink): string {
  const { head, failure } = sink;
  if (failure?.kind === 'reported') return failure.error.errorType;
  return failure === undefined ? `${head?.status} ${sink.text()}` : failure.kind;
}

const INVALID: readonly (readonly [string, string])[] = [
  ['both lengths', `${HEAD}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`],
  ['two lengths', `${HEAD}Content-Length: 2\r\nContent-Length: 2\r\n\r\nok`],
  ['a list of lengths', `${HEAD}Content-Length: 2, 2\r\n\r\nok`],
  ['a signed length', `${HEAD}Content-Length: +2\r\n\r\nok`],
  ['a length beyond numbers', `${HEAD}Content-Length: 99999999999999999999\r\n\r\nok`],
  ['a coding that is not understood', `${HEAD}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
  ['two codings', `${HEAD}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['chunks in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['a folded header', `${HEAD}X-A: 1\r\n  2\r\nContent-Length: 2\r\n\r\nok`],
  ['a blank before the colon', `${HEAD}Content-Length : 2\r\n\r\nok`],
  ['a header without a colon', `${HEAD}Content-Length 2\r\n\r\nok`],
  ['a zero byte', `${HEAD}X-A: \0\r\nContent-Length: 2\r\n\r\nok`],
  ['lines that end with LF', 'HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok'],
  ['a CR within a value', `${HEAD}X-A: 1\rX-B: 2\r\n\r\n`],
  ['another version', 'HTTP/2.0 200 OK\r\n\r\n'],
  ['a status that is none', 'HTTP/1.1 2000 OK\r\n\r\n'],
  ['headers without end', `${HEAD}X-A: ${'a'.repeat(ANSWER_HEAD_BYTES_MAX)}`],
  ['too many headers', `${HEAD}${'a:b\r\n'.repeat(1001)}\r\n`],
  ['a switch that nobody asked for', 'HTTP/1.1 101 Yes\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'],
  ['no HTTP at all', '+PONG'],
];

test('an answer that can be read in two ways is refused', async (t) => {
  for (const [what, bytes] of INVALID) {
    const { ask } = await rawServer(t, (socket) => socket.write(bytes, 'latin1'));
    assert.equal(outcome(await ask()), 'InvalidResponse', what);
  }
});

const CHUNKS: readonly (readonly [string, string])[] = [
  ['no length', '\r\n'],
  ['a length in decimal with a sign', '-2\r\nok\r\n'],
  ['a length with 0x', '0x2\r\nok\r\n'],
  ['a length beyond numbers', 'ffffffffffffffff\r\n'],
  ['data longer than its length', '2\r\nokay\r\n'],
  ['lines that end with LF', '2\nok\n0\n\n'],
  ['an extension without end', `2;${'a'.repeat(70_000)}`],
  ['a trailer without end', `0\r\n${'a: b\r\n'.repeat(20_000)}`],
];

test('a body whose chunks are not valid breaks off', async (t) => {
  for (const [what, bytes] of CHUNKS) {
    const { ask } = await rawServer(t, (socket) => {
      socket.write(`${HEAD}Transfer-Encoding: chunked\r\n\r\n${bytes}`, 'latin1');
    });
    const sink = await ask();
    assert.deepEqual([sink.calls[0], outcome(sink)], ['head', 'InvalidResponse'], what);
  }
});

test('a body that ends before its time is not taken for a whole one', async (t) => {
  for (const bytes of ['Content-Length: 5\r\n\r\nok', 'Transfer-Encoding: chunked\r\n\r\n5\r\nok']) {
    const { ask } = await rawServer(t, (socket) => socket.end(HEAD + bytes));
    assert.equal(outcome(await ask()), 'ConnectionClosed');
  }
});

test('answers in all their forms are read, however they are cut on the way', async (t) => {
  const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n';
  const chunked = `${HEAD}Transfer-Encoding: Chunked\r\n\r\n2;a="b"\r\nok\r\n00001 \r\n!\r\n0\r\nX-Sum: 1\r\n\r\n`;
  const forms: readonly (readonly [string, boolean, string])[] = [
    [`${hints}${WHOLE}`, false, '200 ok'],
    [chunked, false, '200 ok!'],
    [`${HEAD}\r\nuntil the end`, true, '200 until the end'],
    ['HTTP/1.0 404\r\n\r\nold', true, '404 old'],
    ['HTTP/1.1 204 \r\nX-A:\r\n\r\n', false, '204 '],
  ];
  for (const [bytes, closes, wanted] of forms) {
    for (const size of [1, bytes.length]) {
      const { ask } = await rawServer(t, (socket) => {
        socket.setNoDelay(true);
        const send = (at: number): void => {
          if (at >= bytes.length) {
            if (closes) socket.end();
            return;
          }
          socket.write(bytes.slice(at, at + size), 'latin1', () => setImmediate(send, at + size));
        };
        send(0);
      });
      assert.equal(outcome(await ask()), wanted);
    }
  }
});

test('any body comes through chunks of any size', async (t) => {
  let answer = '';
  const { ask, connections } = await rawServer(t, (socket) => socket.write(answer, 'latin1'));
  await assertAlways(
    asyncProperty(array(string({ minLength: 1, maxLength: 300 }), { maxLength: 8 }), async (parts) => {
      const pieces = parts.map((part) => Buffer.from(part).toString('latin1'));
      const chunks = [...pieces, ''].map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`);
      answer = `${HEAD}Transfer-Encoding: chunked\r\n\r\n${chunks.join('')}`;
      assert.equal((await ask()).text(), parts.join(''));
    }),
    { numRuns: 40 },
  );
  assert.equal(connections(), 1);
});

test('a connection is used again only when nothing speaks against it', async (t) => {
  const once: readonly string[] = [
    `${WHOLE}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`,
    `${HEAD}Connection: X, Close\r\nContent-Length: 2\r\n\r\nok`,
    `${HEAD}Keep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok`,
    'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok',
  ];
  const again = [
    WHOLE,
    `${HEAD}Keep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok`,
    'HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok',
  ];
  for (const [bytes, wanted] of [...once.map((one) => [one, 2]), ...again.map((one) => [one, 1])] as const) {
    const { ask, connections } = await rawServer(t, (socket) => socket.write(String(bytes)));
    for (let round = 0; round < 2; round += 1) assert.equal(outcome(await ask()), '200 ok');
    assert.equal(connections(), wanted, String(bytes));
  }
});

test('bytes that come between two answers end the connection', async (t) => {
  const { ask, connections } = await rawServer(t, (socket) => {
    socket.write(WHOLE, () => setImmediate(() => socket.write(WHOLE)));
  });
  assert.equal(outcome(await ask()), '200 ok');
  await settled('the connection to be given up', () => connections());
  assert.equal(outcome(await ask()), '200 ok');
  assert.equal(connections(), 2);
});

test('what would make two requests of one is not sent', async (t) => {
  const seen: string[] = [];
  const { ask } = await rawServer(t, (socket, request) => {
    seen.push(request);
    socket.write(WHOLE);
  });
  const bad: Partial<HttpRequest>[] = [
    { url: '/a b' },
    { url: '/\r\nX: 1' },
    { url: 'http://elsewhere/' },
    { method: 'GET /\r\n' },
    { method: 'CONNECT' },
    { rawHeaders: ['X', '1\r\nY: 2'] },
    { rawHeaders: ['X: 1\r\nY', '2'] },
    { rawHeaders: ['Content-Length', '1, 2'], body: new PassThrough().end('x') },
  ];
  for (const fields of bad) {
    const request = { ...httpRequest('POST', '/', fields), ...fields };
    assert.equal(outcome(await ask(request)), 'InvalidRequest', JSON.stringify(fields.url));
  }
  const rawHeaders = ['Transfer-Encoding', 'chunked', 'content-length', '99', 'Host', 'a', 'host', 'b'];
  await ask(httpRequest('POST', '/', { rawHeaders, body: Buffer.from('four') }));
  const [request = ''] = seen;
  assert.deepEqual(request.match(/^(?:host|content-length|transfer-encoding):.*$/gim), [
    'host: a',
    'content-length: 4',
  ]);
});

test('a stream goes with its length, and in chunks where it has none', async (t) => {
  let request = '';
  const { ask } = await rawServer(t, (socket, bytes) => {
    request += bytes;
    if (/(?:^|\n)0\r\n\r\n$|abcd$/.test(request)) socket.write(WHOLE);
  });
  for (const [rawHeaders, wanted] of [
    [['Content-Length', '4'], 'abcd'],
    [[], '2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n'],
  ] as const) {
    request = '';
    const body = new PassThrough();
    const answered = ask(httpRequest('POST', '/', { rawHeaders, body }));
    body.write('ab');
    await settled('the first half', () => Number(request.includes('ab')), 1);
    body.end('cd');
    await answered;
    assert.equal(request.slice(request.indexOf('\r\n\r\n') + 4), wanted);
  }
});
