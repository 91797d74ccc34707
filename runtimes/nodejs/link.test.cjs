'use strict';
/** What the link does when its reader is slower than it: nothing is lost, doubled or put in another order. */
const assert = require('node:assert/strict');
const { once } = require('node:events');
const { mkdtempSync, rmSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');
const { it } = require('node:test');
const { Worker } = require('node:worker_threads');
const { Link } = require('./link.cjs');

const PIECE_BYTES = 70_000;

/** The daemon's side, on a thread of its own so that it reads while this one stands still. */
const READER = `
const net = require('node:net');
const { parentPort, workerData } = require('node:worker_threads');
const chunks = [];
const server = net.createServer({ pauseOnConnect: true }, (socket) => {
  parentPort.on('message', (wanted) => (wanted === 'read' ? socket.resume() : socket.pause()));
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.on('close', () => {
    server.close();
    parentPort.postMessage(Buffer.concat(chunks));
    parentPort.close();
  });
});
server.listen(workerData, () => parentPort.postMessage('listening'));
`;

async function connect(t) {
  const directory = mkdtempSync(join(tmpdir(), 'thaw-link-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'link');
  const reader = new Worker(READER, { eval: true, workerData: path });
  await once(reader, 'message');
  const link = await new Promise((resolve) => {
    const made = new Link(path, { connect: () => resolve(made), frame() {}, close() {} });
  });
  t.after(() => link.close());
  return { link, reader };
}

function tell(reader, what) {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's port has no origin
  reader.postMessage(what);
}

/** Bytes of which every four tell their place. */
function piece(at) {
  const words = new Uint32Array(PIECE_BYTES / 4).map((_, index) => (at * PIECE_BYTES) / 4 + index);
  return Buffer.from(words.buffer);
}

function pieces(count) {
  return Array.from({ length: count }, (_, at) => piece(at));
}

/** What the reader got, all in all. */
async function received(link, reader) {
  while (link.pendingBytes > 0) await new Promise(setImmediate);
  const message = once(reader, 'message');
  link.close();
  const [bytes] = await message;
  return Buffer.from(bytes);
}

it('sends everything in order to a reader that stops and goes on', async (t) => {
  const { link, reader } = await connect(t);
  for (const [at, bytes] of pieces(200).entries()) {
    link.send(bytes);
    if (at % 7 === 0) await new Promise(setImmediate);
    if (at % 20 === 0) tell(reader, at % 40 === 0 ? 'read' : 'stop');
  }
  tell(reader, 'read');
  assert.ok((await received(link, reader)).equals(Buffer.concat(pieces(200))));
});

it('goes past the byte that the socket waits with, and leaves it another', async (t) => {
  const { link, reader } = await connect(t);
  for (const bytes of pieces(10)) link.send(bytes);
  await new Promise(setImmediate);
  assert.ok(link.isProbing);
  tell(reader, 'read');
  link.flushBlocking();
  assert.equal(link.pendingBytes, 1);
  link.send(piece(10));
  assert.ok((await received(link, reader)).equals(Buffer.concat(pieces(11))));
});

it('sends everything at the end, when the socket waits with a byte that it will not send', async (t) => {
  const { link, reader } = await connect(t);
  for (const bytes of pieces(10)) link.send(bytes);
  await new Promise(setImmediate);
  assert.ok(link.isProbing);
  tell(reader, 'read');
  link.isExiting = true;
  link.flushBlocking();
  assert.equal(link.pendingBytes, 0);
  assert.ok((await received(link, reader)).equals(Buffer.concat(pieces(10))));
});
