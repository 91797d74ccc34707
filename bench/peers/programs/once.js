'use strict';
/** Calls the handler in `index.js` beside it once, as a platform without anything prepared would, and prints the result. */
require('./index.js')
  .handler(Buffer.from('{}'), {})
  .then((result) => process.stdout.write(`${result}\n`));
