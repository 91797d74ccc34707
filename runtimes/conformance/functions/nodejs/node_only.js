'use strict';
/** What only Node has: callbacks, timers that throw, process.exit. */

exports.handled = (event, context, callback) => callback(new RangeError('out of stock'));

exports.handled_text = (event, context, callback) => callback('just text');

exports.called_back_twice = (event, context, callback) => {
  callback(null, 'first');
  callback(null, 'second');
  callback(new Error('third'));
};

exports.called_back_with_nothing = (event, context, callback) => setImmediate(callback, null);

exports.null_value = async () => null;

exports.returned = (event, context, callback) => ({ returned: typeof callback });

exports.returned_nothing = (event, context) => {};

exports.promise_decides = async (event, context, callback) => {
  callback(null, 'callback');
  return 'promise';
};

exports.callback_in_async = async (event, context, callback) => {
  callback(null, 'callback');
};

exports.typed_array = async () => new Uint16Array([0x0201, 0x0403]).subarray(1);

exports.array_buffer = async () => Uint8Array.of(1, 2, 255).buffer;

exports.big_int = async () => ({ value: 10n });

exports.thrown_later = (event, context, callback) => {
  console.log('before the fall');
  setImmediate(() => {
    throw new RangeError('fell');
  });
};

exports.rejected_later = (event, context, callback) => {
  void Promise.reject(new RangeError('nobody caught it'));
};

exports.after_answer = async () => {
  setTimeout(() => {
    throw new Error('after the answer');
  }, 30);
  return 'answered';
};

exports.exits = () => {
  process.stdout.write('last words');
  process.exit(3);
};

exports.split_character = async () => {
  process.stdout.write(Buffer.from([0xe4, 0xb8]));
  process.stdout.write(Buffer.from([0x96, 0x0a, 0xff, 0x0a]));
};

exports.ended_stdout = async () => {
  process.stdout.end('ended\n');
  console.log('still there');
};

exports.raw_headers = (req, res) => {
  res.writeHead(200, 'Fine', ['X-B', '1', 'x-a', '2', 'X-B', '3']);
  res.end(JSON.stringify({ rawHeaders: req.rawHeaders, queries: req.queries }));
};

exports.flood = async () => {
  const line = `${'y'.repeat(999)}\n`;
  for (let i = 0; i < 10_000; i += 1) process.stdout.write(line);
};

exports.endless = () => {
  console.log('before the loop');
  for (;;);
};

exports.exits_full = () => {
  process.stdout.write(`${'z'.repeat(3_000_000)}`);
  process.exit(0);
};

exports.timer_returned = (_event, _context, callback) => setTimeout(callback, 5, null, 'from the timer');

exports.child = async () => {
  const { spawnSync } = require('node:child_process');
  // The link is the only socket that this process has; a child must not hold it.
  const program = 'ls -l /proc/self/fd | grep -c socket';
  return spawnSync('sh', ['-c', program], { stdio: ['ignore', 'pipe', 'ignore'] }).stdout;
};

exports.log_level = async (_event, context) => {
  const { info, error, setLogLevel } = context.logger;
  setLogLevel.call(context.logger, 'warn');
  info('hidden');
  error('shown');
};

exports.huge_error = async () => {
  const error = new Error('m'.repeat(3_000_000));
  error.name = 'n'.repeat(3_000_000);
  throw error;
};

process.stdout.write('an unfinished line of the instance');
