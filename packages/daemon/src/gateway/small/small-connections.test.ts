import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type Server } from 'node:http';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, it, type TestContext } from 'node:test';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import type { SmallAnswer } from './small-answer.ts';
import { SmallConnections } from './small-connections.ts';
import { SMALL_BODY_BYTES_MAX, type SmallRequest } from './small-request.ts';

describe('connections of small requests', () => {
  it('answer one request after the other, also those that came together', async (t) => {
    const { served, caller } = await connected(t, (each, answer) => {
      answerWith(answer, wholeOf(each));
    });
    caller.write(`${post('one')}${post('two')}${post('three').slice(0, -2)}`);
    await caller.received('two');
    assert.equal(served.length, 2);
    caller.write('ee');
    await caller.received('three');
    assert.deepEqual(served.map(wholeOf), ['one', 'two', 'three']);
  });

  it('keep the second request until the first is answered', async (t) => {
    const answers: SmallAnswer[] = [];
    const { served, caller } = await connected(t, (_, answer) => answers.push(answer));
    caller.write(post('one'));
    await waitFor('the first request', () => served.length === 1);
    caller.write(post('two'));
    answerWith(answers[0], 'first');
    await waitFor('the second request', () => served.length === 2);
    answerWith(answers[1], 'second');
    await caller.received('second');
    assert.match(caller.text(), /first.*second$/s);
  });

  it('go to node:http with the first request that is not small, and stay there', async (t) => {
    const { served, caller } = await connected(t, (_, answer) => answerWith(answer, 'small'));
    caller.write(post('one'));
    await caller.received('small');
    caller.write('POST /chunked HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
    caller.write('0\r\n\r\n');
    await caller.received('node:http got abc');
    caller.write(post('two'));
    await caller.received('node:http got two');
    assert.equal(served.length, 1);
  });

  it('go to node:http with a request that nobody serves as small, whole', async (t) => {
    const { caller } = await connected(
      t,
      () => undefined,
      () => false,
    );
    caller.write(`${post('one')}${post('two')}`);
    await caller.received('node:http got one');
    await caller.received('node:http got two');
  });

  it('collect a body that comes in pieces, and take what comes behind it', async (t) => {
    const body = 'x'.repeat(SMALL_BODY_BYTES_MAX - 1);
    const { served, caller } = await connected(t, (each, answer) => answerWith(answer, wholeOf(each)));
    const bytes = `${post(`${body}y`)}${post('two')}`;
    caller.write(bytes.slice(0, 1000));
    await waitFor('the first piece to be sent', () => caller.socket.bytesWritten === 1000);
    caller.write(bytes.slice(1000));
    await caller.received('two');
    assert.deepEqual(served.map(wholeOf), [`${body}y`, 'two']);
  });

  it('hand over a body that has come in pieces whole, where nobody serves it', async (t) => {
    const body = `${'x'.repeat(SMALL_BODY_BYTES_MAX - 4)}last`;
    const { caller } = await connected(
      t,
      () => undefined,
      () => false,
    );
    caller.write(`${post(body)}${post('two')}`);
    await caller.received(`xlast`);
    await caller.received('node:http got two');
  });

  it('serve a long body as it comes, with the next request behind it', async (t) => {
    const long = `${'x'.repeat(3 * 1024 * 1024)}end`;
    const { served, caller } = await connected(t, (each, answer) => {
      if (Buffer.isBuffer(each.body)) answerWith(answer, 'short');
      else void text(each.body).then((got) => answerWith(answer, `${got.length} ${got.slice(-3)}`));
    });
    caller.write(`${post(long)}${post('two')}`);
    await caller.received(`${long.length} end`);
    await caller.received('short');
    assert.equal(served.length, 2);
  });

  it('hand over a long body whole, where nobody serves it', async (t) => {
    const { caller } = await connected(
      t,
      () => undefined,
      () => false,
    );
    caller.write(post(`${'x'.repeat(SMALL_BODY_BYTES_MAX)}last`));
    await caller.received('xlast');
  });

  it('drop a long body that nobody reads, and go on behind it', async (t) => {
    const { caller } = await connected(t, ({ body }, answer) =>
      answerWith(answer, Buffer.isBuffer(body) ? 'the next' : 'refused'),
    );
    caller.write(post('x'.repeat(3 * 1024 * 1024)));
    await caller.received('refused');
    caller.write(post('two'));
    await caller.received('the next');
  });

  it('pause a caller whose long body nobody takes', async (t) => {
    const { served, caller } = await connected(t, ({ body }, answer) => {
      if (!Buffer.isBuffer(body)) void once(body, 'end').then(() => answerWith(answer, 'all of it'));
    });
    const bytes = 64 * 1024 * 1024;
    caller.write(post('x'.repeat(bytes)));
    await waitFor('the request', () => served.length === 1);
    const body = served[0]?.body;
    if (body === undefined || Buffer.isBuffer(body)) throw new Error('the body does not stream');
    await waitFor('some of it', () => body.readableLength > 0);
    assert.ok(body.readableLength < bytes / 8, 'the caller was not paused');
    body.resume();
    await caller.received('all of it');
  });

  it('break a long body off whose caller is gone', async (t) => {
    let isBroken = false;
    const { served, caller } = await connected(t, ({ body }) => {
      if (!Buffer.isBuffer(body)) body.resume().once('close', () => (isBroken = !body.readableEnded));
    });
    caller.write(post('x'.repeat(SMALL_BODY_BYTES_MAX * 2)).slice(0, -1));
    await waitFor('the request', () => served.length === 1);
    caller.socket.destroy();
    await waitFor('the body to be told', () => isBroken);
  });

  it('send a body of unknown length in chunks, which every client can read', async (t) => {
    const { port } = await listening(t, (_, answer) => {
      answer.writeHead(201, ['X-Name', 'value']);
      answer.flushHeaders();
      answer.write(Buffer.from('first '));
      answer.finish(Buffer.from('last'));
    });
    const response = await ask(port, 'GET');
    assert.equal(response.statusCode, 201);
    assert.equal(response.headers['x-name'], 'value');
    assert.equal(response.headers['transfer-encoding'], 'chunked');
    assert.equal(await text(response), 'first last');
  });

  it('send no body where HTTP has none', async (t) => {
    const { port } = await listening(t, ({ method }, answer) => {
      answer.writeHead(method === 'HEAD' ? 200 : 204, method === 'HEAD' ? ['Content-Length', '5'] : []);
      answer.finish(Buffer.from('hello'));
    });
    for (const method of ['HEAD', 'GET', 'GET']) {
      const response = await ask(port, method);
      assert.equal(await text(response), '');
      assert.equal(response.headers['transfer-encoding'], undefined);
    }
  });

  for (const header of ['a b: c', 'x: a\r\nSet-Cookie: b', 'x: \0', ': c', 'x: \u0100']) {
    it(`refuse the header ${JSON.stringify(header)}`, async (t) => {
      const { port } = await listening(t, (_, answer) => {
        const at = header.indexOf(':');
        assert.throws(() => answer.writeHead(200, [header.slice(0, at), header.slice(at + 2)]), TypeError);
        answer.writeHead(200, ['Content-Length', '2']);
        answer.finish(Buffer.from('ok'));
      });
      const response = await ask(port, 'GET');
      assert.equal(await text(response), 'ok');
      assert.equal(response.headers['set-cookie'], undefined);
    });
  }

  it('tell an answer that its caller is gone', async (t) => {
    let isGone = false;
    const { served, caller } = await connected(t, (_, answer) => {
      answer.on('close', () => {
        isGone = !answer.writableFinished;
      });
    });
    caller.write(post('one'));
    await waitFor('the request', () => served.length === 1);
    caller.socket.destroy();
    await waitFor('the answer to be told', () => isGone);
  });

  it('pause an answer that its caller does not read', async (t) => {
    const chunk = Buffer.alloc(1024 * 1024, 'x');
    let written = 0;
    const total = 64;
    const { caller } = await connected(t, (_, answer) => {
      const pump = (): void => {
        while (written < total) {
          written += 1;
          if (!answer.write(chunk)) return;
        }
        answer.finish(Buffer.from('end'));
      };
      answer.on('drain', pump);
      answer.writeHead(200, []);
      pump();
    });
    caller.socket.pause();
    caller.write(post('one'));
    await waitFor('the answer to begin', () => written > 0);
    assert.ok(written < total, 'the answer did not wait for its reader');
    caller.socket.resume();
    await caller.received('end');
    assert.equal(written, total);
  });

  it('end when they are idle, or with the answer that is being made', async (t) => {
    const answers: SmallAnswer[] = [];
    const { connections, served, caller, port } = await connected(t, (_, answer) => answers.push(answer));
    const idle = open(t, port);
    idle.write(post('one'));
    await waitFor('the request of the first', () => served.length === 1);
    answerWith(answers[0], 'answered');
    await idle.received('answered');
    caller.write(post('two'));
    await waitFor('the request of the second', () => served.length === 2);
    connections.close();
    await once(idle.socket, 'close');
    answerWith(answers[1], 'last');
    await once(caller.socket, 'close');
    assert.match(caller.text(), /Connection: close\r\n.*last$/s);
  });
});

type Serve = (request: SmallRequest, answer: SmallAnswer) => unknown;

/** A server whose node:http says what it got. */
async function listening(
  t: TestContext,
  serve: Serve,
  takes: () => boolean = () => true,
): Promise<{ port: number; served: SmallRequest[]; connections: SmallConnections }> {
  const served: SmallRequest[] = [];
  const server: Server = createServer((incoming, response) => {
    void text(incoming).then((body) => response.end(`node:http got ${body}`));
  });
  const [toNodeHttp] = server.listeners('connection');
  const connections = new SmallConnections({
    keepAliveMs: 60_000,
    quietMsMax: 60_000,
    onRequest: (each, answer) => {
      if (!takes()) return false;
      served.push(each);
      serve(each, answer);
      return true;
    },
    handOver: (socket) => toNodeHttp?.call(server, socket),
  });
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => connections.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    connections.close();
    connections.destroyAll();
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return { port: address.port, served, connections };
}

async function connected(
  t: TestContext,
  serve: Serve,
  takes?: () => boolean,
): Promise<Awaited<ReturnType<typeof listening>> & { caller: Caller }> {
  const server = await listening(t, serve, takes);
  return { ...server, caller: open(t, server.port) };
}

interface Caller {
  readonly socket: Socket;
  write(bytes: string): void;
  text(): string;
  received(part: string): Promise<unknown>;
}

function open(t: TestContext, port: number): Caller {
  const socket = connect(port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.on('error', () => undefined);
  let all = '';
  let kept = '';
  socket.setEncoding('latin1').on('data', (bytes: string) => {
    // Megabytes of one letter need not be looked through again and again.
    all = bytes.length > 65_536 ? bytes.slice(-64) : all + bytes;
    kept = all;
  });
  return {
    socket,
    write: (bytes) => socket.write(bytes),
    text: () => kept,
    received: (part) => waitFor(`'${part}'`, () => kept.includes(part)),
  };
}

function wholeOf({ body }: SmallRequest): string {
  if (!Buffer.isBuffer(body)) throw new Error('the body streams');
  return body.toString();
}

function post(body: string): string {
  return `POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

function answerWith(answer: SmallAnswer | undefined, body: string): void {
  answer?.writeHead(200, ['Content-Length', String(body.length)]);
  answer?.finish(Buffer.from(body));
}

async function ask(port: number, method: string): Promise<IncomingMessage> {
  const call = request({
    port,
    host: '127.0.0.1',
    method,
    agent: false,
    headers: { connection: 'keep-alive' },
  });
  call.end();
  const [response] = await once(call, 'response');
  return response;
}
