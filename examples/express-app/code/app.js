const express = require('express');

const app = express();
const notes = new Map();

app.use(express.json());
app.use(express.urlencoded({ extended: false }));
app.use('/static', express.static(`${__dirname}/public`));

app.get('/', (req, res) => {
  res
    .type('html')
    .send('<h1>Notes</h1><form method="post" action="notes"><input name="text"><button>Add</button></form>');
});

app.get('/notes/:id', (req, res) => {
  const text = notes.get(req.params.id);
  if (text === undefined) res.status(404).json({ error: 'no such note' });
  else res.json({ id: req.params.id, text });
});

app.post('/notes', (req, res) => {
  const id = String(notes.size + 1);
  notes.set(id, req.body.text);
  res.status(201).location(`/notes/${id}`).cookie('last', id).json({ id, text: req.body.text });
});

app.get('/ticks', (req, res) => {
  res.type('text/event-stream');
  let sent = 0;
  const timer = setInterval(() => {
    sent += 1;
    res.write(`data: tick ${sent}\n\n`);
    if (sent === 3) {
      clearInterval(timer);
      res.end();
    }
  }, 50);
});

module.exports = app;

if (require.main === module) {
  const port = process.env.PORT || 3000;
  app.listen(port, () => console.log(`listening on ${port}`));
}
