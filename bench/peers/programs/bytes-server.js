'use strict';
/** Takes a body of any size and says how long it was; `GET /<n>` answers n bytes. A handler of Thaw and a server. */
const CHUNK = Buffer.alloc(64 * 1024, 0x61);

exports.handler = (request, response) => {
  if (request.method !== 'GET') {
    let bytes = 0;
    request.on('data', (chunk) => {
      bytes += chunk.length;
    });
    request.on('end', () => response.end(String(bytes)));
    return;
  }
  const wanted = Number(/(\d+)$/.exec(request.url ?? '')?.[1] ?? 0);
  response.setHeader('content-type', 'application/octet-stream');
  response.setHeader('content-length', String(wanted));
  let left = wanted;
  const pump = () => {
    while (left > 0) {
      const piece = left >= CHUNK.length ? CHUNK : CHUNK.subarray(0, left);
      left -= piece.length;
      if (!response.write(piece)) {
        response.once('drain', pump);
        return;
      }
    }
    response.end();
  };
  pump();
};

if (require.main === module) {
  const server = require('node:http').createServer(exports.handler);
  server.keepAliveTimeout = 600_000;
  const listen = process.env.LISTEN ?? '9000';
  if (/^\d+$/.test(listen)) {
    server.listen(Number(listen), '127.0.0.1', () =>
      process.stdout.write(`listening ${server.address().port}\n`),
    );
  } else {
    server.listen(listen, () => process.stdout.write('listening 0\n'));
  }
}
