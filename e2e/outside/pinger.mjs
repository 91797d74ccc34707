/** Answers every request with the number of its connection, counted from 1. Connections stay open for as long as anybody likes. */
import { createServer } from 'node:http';

const numbers = new WeakMap();
let connections = 0;

const server = createServer((request, response) => response.end(String(numbers.get(request.socket))));
server.on('connection', (socket) => {
  connections += 1;
  numbers.set(socket, connections);
});
server.keepAliveTimeout = 600_000;
server.listen(0, '0.0.0.0', () => console.log(`port ${server.address().port}`));
