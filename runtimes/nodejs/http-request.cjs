'use strict';
/* oxlint-disable no-underscore-dangle -- Node names so what a subclass replaces and what it has no other way to. */
/**
 * The request of an HTTP handler: Node's own IncomingMessage, filled from the REQUEST head and DATA frames, with what
 * Function Compute 2.0 adds to it.
 *
 * Express replaces the prototype of the object by one of its own. So what makes it work is set on the object itself
 * (`_read`), and what only Function Compute knows stands on the prototype, where it gives way to Express's own.
 */
const { IncomingMessage } = require('node:http');
const querystring = require('node:querystring');

class HttpRequest extends IncomingMessage {
  /** @param credit told when the reader has taken bytes */
  constructor(socket, head, credit) {
    super(socket);
    this.httpVersion = '1.1';
    this.httpVersionMajor = 1;
    this.httpVersionMinor = 1;
    this.method = head.method;
    this.url = head.url;
    // Node's own lazy parse of the flat list; it is what its parser calls.
    this._addHeaderLines(head.headers, head.headers.length);
    let takenBytes = 0;
    const grant = () => {
      const taken = this.receivedBytes - this.readableLength;
      credit.take(taken - takenBytes);
      takenBytes = taken;
    };
    this._read = () => {
      this._consumed = true;
      grant();
    };
    // `_read` is called before a reader takes what is there, and not again until more has come: were it the only place,
    // a reader that takes the whole window at once would wait for a daemon that waits for its credit.
    Object.defineProperty(this, 'read', {
      value(size) {
        const chunk = IncomingMessage.prototype.read.call(this, size);
        grant();
        return chunk;
      },
      writable: true,
      configurable: true,
    });
    Object.defineProperty(this, 'receivedBytes', { value: 0, writable: true });
    Object.defineProperty(this, 'grantCredit', { value: grant });
    Object.defineProperty(this, 'clientAddress', { value: head.remote });
  }

  get path() {
    const { url } = this;
    const query = url.indexOf('?');
    return query === -1 ? url : url.slice(0, query);
  }

  set path(value) {
    define(this, 'path', value);
  }

  get queries() {
    const query = this.url.indexOf('?');
    return query === -1 ? {} : { ...querystring.parse(this.url.slice(query + 1)) };
  }

  set queries(value) {
    define(this, 'queries', value);
  }

  get clientIP() {
    return this.clientAddress;
  }

  set clientIP(value) {
    define(this, 'clientIP', value);
  }
}

/** Routers of other kinds keep their own values under these names. */
function define(target, name, value) {
  Object.defineProperty(target, name, { value, writable: true, enumerable: true, configurable: true });
}

/** Functions rather than methods, for they are needed after Express has changed the prototype too. */
function pushBody(request, bytes, isEnd) {
  if (request.destroyed) return;
  if (bytes.length > 0) {
    request.receivedBytes += bytes.length;
    request.push(bytes);
    // A reader that listens for 'data' and keeps up has been handed them already, past `read`.
    request.grantCredit();
  }
  if (isEnd) {
    request.complete = true;
    request.push(null);
  }
}

function abortRequest(request) {
  if (request.destroyed) {
    // It was read to its end long ago; who still listens wants to know that the caller went away.
    request.aborted = true;
    request.emit('aborted');
    return;
  }
  const error = new Error('aborted');
  error.code = 'ECONNRESET';
  request.destroy(error);
}

module.exports = { HttpRequest, pushBody, abortRequest };
