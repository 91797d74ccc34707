import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isLostStem } from './lost-stem.ts';

const EXIT = { code: 0, signal: null, outOfMemory: false };
const CLOSED = new Error('the runtime closed the link');

function errorOf(code: string): Error {
  return Object.assign(new Error(code), { code });
}

test('a stem that was killed, or read nothing of what it was told, is lost', () => {
  assert.equal(isLostStem({ ...EXIT, code: null, signal: 'SIGKILL' }, CLOSED), true);
  assert.equal(isLostStem({ ...EXIT, code: null, signal: 'SIGSEGV' }, errorOf('ECONNRESET')), true);
  assert.equal(isLostStem(EXIT, errorOf('EPIPE')), true);
});

test('a function that ends its process, or has too little memory, is not', () => {
  assert.equal(isLostStem({ ...EXIT, code: 3 }, CLOSED), false);
  assert.equal(isLostStem({ ...EXIT, code: null, signal: 'SIGABRT' }, CLOSED), false);
  assert.equal(isLostStem({ code: null, signal: 'SIGKILL', outOfMemory: true }, CLOSED), false);
  assert.equal(isLostStem({ ...EXIT, code: null, signal: 'SIGTERM' }, errorOf('EIO')), false);
});
