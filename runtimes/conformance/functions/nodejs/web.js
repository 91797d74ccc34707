'use strict';

let cancelled = 0;

async function readAll(req) {
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  return Buffer.concat(chunks);
}

exports.echo = async (req, resp, context) => {
  const body = await readAll(req);
  const url = req.url.split('?');
  const answer = Buffer.from(
    JSON.stringify({
      method: req.method,
      path: decodeURIComponent(req.path),
      query: url[1],
      contentType: req.headers['content-type'],
      custom: req.headers['x-custom'],
      remote: req.clientIP,
      scheme: req.socket.encrypted ? 'https' : 'http',
      body: body.toString(),
    }),
  );
  resp.setStatusCode(201);
  resp.setHeader('Content-Type', 'application/json');
  resp.setHeader('Content-Length', answer.length);
  resp.setHeader('X-Mixed-Case', 'yes');
  resp.setHeader('Set-Cookie', ['a=1', 'b=2']);
  resp.send(answer);
};

exports.status = (req, res) => {
  res.statusCode = Number(req.path.split('/').at(-1));
  res.setHeader('Content-Type', 'text/plain');
  res.end(`status ${res.statusCode}`);
};

exports.stream_echo = (req, res) => {
  res.write('ready\n');
  req.pipe(res);
};

exports.mirror = (req, res) => {
  res.setHeader('Content-Type', 'application/octet-stream');
  req.pipe(res);
};

exports.fails = async (req, res) => {
  throw new Error('the page failed');
};

exports.fails_midway = async (req, res) => {
  await new Promise((resolve) => {
    res.write('part', resolve);
  });
  throw new Error('the page failed');
};

exports.until_cancelled = (req, res) => {
  if (req.url !== '/wait') return res.end(String(cancelled));
  const ticking = setInterval(() => res.write('tick'), 10);
  res.on('close', () => {
    clearInterval(ticking);
    cancelled += 1;
  });
};

exports.odd_names = (a, b) => b.end('odd');

exports.logs = (req, res) => {
  console.log('before');
  process.stdout.write('partial');
  res.end('logged');
};
