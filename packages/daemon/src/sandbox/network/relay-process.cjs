'use strict';
// Runs in a sandbox's network with the host's files (relay.ts): leads from a unix socket to a port on the loopback.
// It begins to listen when the port does, so that a connection that is accepted here is accepted there.
const { connect, createServer } = require('node:net');

const POLL_MS = 2;
const [, , path, port] = process.argv;

// The launcher holds the other end: it is gone, and so is whom this serves.
process.stdin.on('close', () => process.exit(0)).resume();

function probe() {
  const socket = connect({ host: '127.0.0.1', port: Number(port) });
  socket.once('connect', () => {
    socket.destroy();
    listen();
  });
  socket.once('error', () => setTimeout(probe, POLL_MS));
}

function listen() {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (outer) => {
    const inner = connect({ host: '127.0.0.1', port: Number(port), allowHalfOpen: true, noDelay: true });
    outer.pipe(inner);
    inner.pipe(outer);
    for (const [one, other] of [
      [outer, inner],
      [inner, outer],
    ]) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroySoon());
    }
  });
  server.listen(path);
}

probe();
