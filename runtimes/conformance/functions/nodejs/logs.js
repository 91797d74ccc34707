'use strict';

/** Opens once two invocations have come to it. */
class Meeting {
  #waiting = [];

  reach() {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#waiting.length === 2) for (const go of this.#waiting) go();
    });
  }
}

const first = new Meeting();
const second = new Meeting();

exports.lines = async () => {
  console.log('out 1');
  console.error('err 1');
  process.stdout.write('tail');
  return 'done';
};

exports.pieces = async () => {
  process.stdout.write('ab');
  process.stdout.write('cd\n');
  process.stdout.write('ef\ng');
  return 'done';
};

exports.long_line = async () => {
  for (let i = 0; i < 1000; i += 1) process.stdout.write('x'.repeat(100));
};

exports.wide = async () => {
  process.stdout.write(`${'世'.repeat(40_000)}\n`);
};

exports.logger = async (event, context) => {
  context.logger.info('hello %s', 'world');
  context.logger.error('bad thing');
};

exports.interleaved = async (event) => {
  console.log(`${event} 1`);
  await first.reach();
  console.log(`${event} 2`);
  await second.reach();
  console.log(`${event} 3`);
  return event;
};

exports.quiet = async () => 'quiet';
