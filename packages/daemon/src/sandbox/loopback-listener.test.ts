import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { LoopbackListener } from './loopback-listener.ts';

test('a connection that came before anybody accepted is served whole', async (t) => {
  const server = createServer();
  const listener = new LoopbackListener(server);
  const http = createHttpServer((request, response) => {
    response.end(`served ${request.url}`);
  });
  t.after(() => {
    listener.close();
    http.closeAllConnections();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const open = (path: string): Promise<string> => {
    const socket = connect(address.port, '127.0.0.1');
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    return text(socket);
  };
  const accepted = once(server, 'connection');
  const early = open('/early');
  const [socket] = await accepted;
  // Its bytes are here too before anybody asks.
  while (socket.readableLength === 0) await new Promise(setImmediate);
  listener.accept((accepting) => http.emit('connection', accepting));
  assert.match(await early, /served \/early$/u);
  assert.match(await open('/late'), /served \/late$/u);
});

test('a connection that nobody accepted ends with the listener', async () => {
  const server = createServer();
  const listener = new LoopbackListener(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const accepted = once(server, 'connection');
  const client = connect(address.port, '127.0.0.1');
  const closed = once(client, 'close');
  await accepted;
  listener.close();
  await closed;
});
