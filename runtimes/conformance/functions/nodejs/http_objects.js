'use strict';
/** What Node programs and frameworks expect of the request and response objects. */
const http = require('node:http');
const { PassThrough, Readable, pipeline } = require('node:stream');

const facts = (res) => [res.headersSent, res.writableEnded, res.finished];

exports.instances = (req, res) =>
  res.end(
    JSON.stringify([
      req instanceof http.IncomingMessage,
      req instanceof Readable,
      res instanceof http.ServerResponse,
      res.req === req,
      req.socket === res.socket,
      req.socket.remoteAddress,
      req.httpVersion,
      req.complete,
    ]),
  );

exports.states = (req, res) => {
  const seen = [facts(res)];
  res.on('finish', () => {
    console.log('finish', facts(res).join(), res.writableFinished);
  });
  res.on('close', () => {
    console.log('close', res.destroyed);
  });
  res.write('a');
  seen.push(facts(res));
  res.end(JSON.stringify(seen), () => process.stderr.write('callback'));
  console.log('ended', facts(res).join());
};

exports.write_head_object = (req, res) => {
  res.writeHead(202, { 'X-One': 1, 'Set-Cookie': ['a=1', 'b=2'] }).end('ok');
};

exports.write_head_merged = (req, res) => {
  res.setHeader('X-Kept', 'kept');
  res.setHeader('X-Replaced', 'old');
  res.setHeader('X-Removed', 'gone');
  res.removeHeader('x-removed');
  res.appendHeader('X-Many', '1').appendHeader('X-Many', '2');
  res.writeHead(203, 'Any Text', { 'x-replaced': 'new' });
  res.end();
};

exports.invalid_header = (req, res) => {
  const errors = [];
  for (const headers of [{ 'bad name': 1 }, { 'X-A': 'line\nfeed' }]) {
    try {
      res.writeHead(200, headers);
    } catch (error) {
      errors.push(error.code);
    }
  }
  res.setHeader('X-Errors', errors.join());
  res.end(errors.join());
};

exports.headers_after_sent = (req, res) => {
  res.flushHeaders();
  try {
    res.setHeader('X-Late', '1');
  } catch (error) {
    res.end(error.code);
  }
};

exports.flushed_head = (req, res) => {
  res.setHeader('X-Early', '1');
  res.flushHeaders();
};

exports.head_length = (req, res) => {
  res.setHeader('Content-Length', 5);
  res.end('12345');
};

/** Express does this to both objects. */
exports.new_prototypes = (req, res, next) => {
  Object.setPrototypeOf(req, Object.create(http.IncomingMessage.prototype));
  Object.setPrototypeOf(res, Object.create(http.ServerResponse.prototype));
  req.path = String(typeof next);
  res.setHeader('X-Path', req.path);
  req.pipe(res);
};

exports.backpressure = (req, res) => {
  const piece = Buffer.alloc(50_000, 'x');
  let left = 100;
  let drains = 0;
  let queuedMax = 0;
  const writeMore = () => {
    while (left > 0) {
      left -= 1;
      const goesOn = res.write(piece);
      queuedMax = Math.max(queuedMax, res.writableLength);
      if (!goesOn) return;
    }
    console.log(drains > 0, queuedMax < 200_000, res.writableNeedDrain);
    res.end();
  };
  res.on('drain', () => {
    drains += 1;
    writeMore();
  });
  writeMore();
};

exports.piped_twice = (req, res) => {
  const piece = Buffer.alloc(300_000, 'x');
  Readable.from([piece, piece])
    .on('end', () => Readable.from([piece]).pipe(res))
    .pipe(res, { end: false });
};

exports.broken_source = (req, res) => {
  const source = new PassThrough();
  pipeline(source, res, (error) => console.log('pipeline', error.message));
  source.write('some');
  setImmediate(() => source.destroy(new RangeError('the source broke')));
};

exports.destroyed = (req, res) => {
  res.destroy();
};

exports.send_stream = (req, resp) => {
  resp.setStatusCode(206);
  resp.setHeader('X-Gone', '1');
  resp.deleteHeader('x-gone');
  resp.send(Readable.from(['a', 'b', 'c']));
};

exports.write_after_end = (req, res) => {
  res.on('error', (error) => console.log(error.code));
  res.end('end');
  res.write('late');
};

exports.upload_cancelled = async (req, res) => {
  if (req.url === '/') return res.end('fine');
  req.on('aborted', () => console.log('aborted'));
  res.on('close', () => console.log('response closed'));
  try {
    for await (const chunk of req) console.log(`${chunk}`);
  } catch (error) {
    console.log(error.code);
  }
  return undefined;
};

exports.unread_upload = (req, res) => {
  req.on('close', () => console.error('request closed'));
  res.statusCode = 413;
  res.end('too large');
};

exports.throws_after_answer = async (req, res) => {
  res.end('answered');
  throw new Error('too late to tell');
};

/** Both requests are open at the same time; each logs from its own stream's events. */
exports.interleaved = (req, res) => {
  req.on('data', (chunk) => console.log(`${req.url} ${chunk}`));
  req.on('end', () => {
    setImmediate(() => {
      console.log(`${req.url} end`);
      res.end();
    });
  });
  res.write('go');
};

exports.throwing_listener = (req, _res) => {
  req.on('data', () => {
    throw new RangeError('in a listener');
  });
  console.log('listening');
};
