'use strict';
/* oxlint-disable no-underscore-dangle -- Node names so what a subclass replaces and what it has no other way to. */
/**
 * The response of an HTTP handler: Node's own ServerResponse on an HttpSocket, with what Function Compute 2.0 adds.
 * Node's code does everything (states, events, all forms of writeHead, bodies that may not be); only `_storeHeader`,
 * the one place where it would write the head as text, is replaced, on the object itself because Express replaces the
 * prototype.
 */
const { ServerResponse, validateHeaderName, validateHeaderValue } = require('node:http');
const { pipeline } = require('node:stream');

/** Leaves room in the frame for the first piece of the body. */
const HEAD_BYTES_MAX = 512 * 1024;

class HttpResponse extends ServerResponse {
  constructor(request, answer) {
    super(request);
    this.sendDate = false;
    this._storeHeader = function storeHeader(statusLine, headers) {
      const list = flatHeaders(this, headers);
      if (
        this._hasBody &&
        typeof this._contentLength === 'number' &&
        !this._removedContLen &&
        !hasLength(list)
      ) {
        list.push('Content-Length', String(this._contentLength));
      }
      const head = JSON.stringify({ status: this.statusCode, headers: list });
      if (Buffer.byteLength(head) > HEAD_BYTES_MAX) {
        throw new RangeError(`the head of a response has at most ${HEAD_BYTES_MAX} bytes`);
      }
      answer.setHead(head);
      this._header = statusLine;
      this._headerSent = true;
      this.chunkedEncoding = false;
      this._last = true;
    };
    // Informational answers have no frame.
    this.writeContinue = skipInformational;
    this.writeProcessing = skipInformational;
    this.writeEarlyHints = (hints, callback) => skipInformational(callback);
    this.writeInformation = (status, headers, callback) => skipInformational(callback);
  }

  setStatusCode(status) {
    this.statusCode = status;
  }

  deleteHeader(name) {
    this.removeHeader(name);
  }

  send(body) {
    if (body === undefined || body === null) this.end();
    else if (typeof body === 'string' || body instanceof Uint8Array) this.end(body);
    else if (typeof body.pipe === 'function') pipeline(body, this, () => {});
    else throw new TypeError('the body must be a string, a Buffer or a readable stream');
  }
}

function skipInformational(callback) {
  if (typeof callback === 'function') process.nextTick(callback);
}

/**
 * The head as a flat list. When headers were set one by one Node has merged what writeHead got into them; else it hands
 * on what writeHead got: an object, a flat array or an array of pairs.
 */
function flatHeaders(response, headers) {
  const list = [];
  const names = response.getRawHeaderNames();
  if (names.length > 0) {
    for (const name of names) addHeader(list, name, response.getHeader(name));
    return list;
  }
  for (const [name, value] of headerPairs(headers)) {
    validateHeaderName(name);
    for (const single of Array.isArray(value) ? value : [value]) validateHeaderValue(name, single);
    addHeader(list, name, value);
  }
  return list;
}

function headerPairs(headers) {
  if (headers === undefined || headers === null) return [];
  if (!Array.isArray(headers)) return Object.entries(headers);
  if (Array.isArray(headers[0])) return headers;
  return Array.from({ length: headers.length / 2 }, (_, i) => [headers[2 * i], headers[2 * i + 1]]);
}

function addHeader(list, name, value) {
  if (Array.isArray(value)) for (const single of value) list.push(name, String(single));
  else list.push(name, String(value));
}

function hasLength(list) {
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i].toLowerCase();
    if (name === 'content-length' || name === 'transfer-encoding') return true;
  }
  return false;
}

module.exports = { HttpResponse };
