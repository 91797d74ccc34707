// An Express server as it is: `node server.js` runs it anywhere.
const express = require('express');

const app = express();
const port = 9000;

app.get('/', (req, res) => {
  res.type('text').send(`Hello from Express on port ${port}\n`);
});

app.get('/ticks', (req, res) => {
  res.set('Content-Type', 'text/event-stream');
  let tick = 0;
  const timer = setInterval(() => {
    tick += 1;
    res.write(`data: tick ${tick}\n\n`);
    if (tick === 5) {
      clearInterval(timer);
      res.end();
    }
  }, 100);
  req.on('close', () => clearInterval(timer));
});

app.post('/echo', (req, res) => {
  res.set('Content-Type', req.get('Content-Type') ?? 'application/octet-stream');
  req.pipe(res);
});

// Events: what `thaw invoke` and triggers send.
app.post('/invoke', express.raw({ type: () => true, limit: '32mb' }), (req, res) => {
  console.log(`event of ${req.body.length} bytes`);
  res.send(`Express got ${req.body}\n`);
});

app.listen(port, () => console.log(`listening on port ${port}`));
