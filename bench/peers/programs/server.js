'use strict';
/** The handler as a plain web server, on the port or unix socket that `LISTEN` names. */
const { createServer } = require('node:http');
const { handler } = require('./handler.js');

const server = createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.once('end', () => {
    handler(Buffer.concat(chunks), {}).then(
      (result) => response.end(result),
      (error) => {
        response.statusCode = 500;
        response.end(String(error));
      },
    );
  });
});
server.keepAliveTimeout = 600_000;
const listen = process.env.LISTEN ?? '9000';
if (/^\d+$/.test(listen)) {
  server.listen(Number(listen), process.env.HOST ?? '0.0.0.0', () => {
    process.stdout.write(`listening ${server.address().port}\n`);
  });
} else {
  server.listen(listen, () => process.stdout.write('listening 0\n'));
}
