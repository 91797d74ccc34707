'use strict';
/** One event: collects its bytes, calls the handler, turns the result into the answer's bytes. */
const { types } = require('node:util');
const { createContext } = require('./context.cjs');
const { Credit } = require('./credit.cjs');
const { functionError } = require('./function-error.cjs');
const { callUser } = require('./user-call.cjs');

const NOTHING = Buffer.alloc(0);
const HEAD_JSON = '{}';

class EventInvocation {
  /** @param scope the invocation's `enter`, `answer` and `link`; see invocations.cjs */
  constructor(scope, runnable, head) {
    this.scope = scope;
    this.runnable = runnable;
    this.head = head;
    /** What has come of the event; null once the handler has it. */
    this.chunks = [];
    this.credit = null;
  }

  onBody(bytes, isEnd) {
    if (this.chunks === null) return;
    this.chunks.push(bytes);
    if (isEnd) {
      const event = this.chunks.length === 1 ? bytes : Buffer.concat(this.chunks);
      this.chunks = null;
      this.call(event);
      return;
    }
    this.credit ??= new Credit(this.scope.link, this.scope.stream);
    this.credit.take(bytes.length);
  }

  call(event) {
    const context = createContext(this.runnable.specialization, this.head);
    this.scope.enter(callUser, this.runnable.handler, [event, context], (isSuccess, value, isHandled) => {
      if (isSuccess) this.succeed(value);
      else this.scope.answer.fail(functionError(value, isHandled));
    });
  }

  succeed(value) {
    const { answer } = this.scope;
    let bytes;
    try {
      bytes = resultBytes(value);
    } catch (error) {
      answer.fail(functionError(error, false));
      return;
    }
    answer.setHead(HEAD_JSON);
    answer.write(bytes);
    answer.end();
  }

  /** A Node event handler has no way to be told; its answer is dropped when it comes. */
  onCancel() {}
}

function resultBytes(value) {
  if (value === undefined) return NOTHING;
  if (typeof value === 'string') return Buffer.from(value, 'utf8');
  if (Buffer.isBuffer(value)) return value;
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (types.isAnyArrayBuffer(value)) return Buffer.from(value);
  const json = JSON.stringify(value);
  if (json === undefined) throw new TypeError(`a ${typeof value} cannot be the result of a handler`);
  return Buffer.from(json, 'utf8');
}

module.exports = { EventInvocation };
