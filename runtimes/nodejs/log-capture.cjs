'use strict';
/* oxlint-disable no-underscore-dangle -- Node names so what a subclass replaces and what it has no other way to. */
/**
 * Takes over `process.stdout` and `process.stderr`, so that every line travels in a LOG frame of the invocation that
 * wrote it. `console` and everything else that prints uses these two. Descriptors 1 and 2 stay as they are for
 * children and native code.
 */
const { Writable } = require('node:stream');
const { StringDecoder } = require('node:string_decoder');
const { encodeLog } = require('./frame.cjs');

const PIECE_BYTES_MAX = 32 * 1024;
const SOURCES = [
  ['stdout', 1],
  ['stderr', 2],
];

/** The unfinished line of one source of one invocation. */
class LineBuffer {
  constructor(link, source) {
    this.link = link;
    this.source = source;
    this.text = '';
    /** Joins a character whose bytes come in two writes; made when bytes are written at all. */
    this.decoder = null;
  }

  write(stream, chunk, encoding) {
    let text = chunk;
    if (typeof chunk !== 'string') text = (this.decoder ??= new StringDecoder('utf8')).write(chunk);
    else if (encoding !== 'utf8' && encoding !== 'utf-8' && encoding !== 'buffer') {
      text = Buffer.from(chunk, encoding).toString('utf8');
    }
    const lineEnd = text.lastIndexOf('\n') + 1;
    if (lineEnd > 0) {
      this.send(stream, this.text + text.slice(0, lineEnd));
      this.text = text.slice(lineEnd);
    } else {
      this.text += text;
    }
    if (this.text.length >= PIECE_BYTES_MAX) this.flush(stream);
  }

  flush(stream) {
    const text = this.text;
    this.text = '';
    if (text !== '') this.send(stream, text);
  }

  /** What no further write can complete any more. */
  end(stream) {
    if (this.decoder !== null) this.text += this.decoder.end();
    this.flush(stream);
  }

  send(stream, text) {
    let bytes = Buffer.from(text, 'utf8');
    while (bytes.length > PIECE_BYTES_MAX) {
      const cut = characterStart(bytes, PIECE_BYTES_MAX);
      this.link.sendNow(encodeLog(stream, this.source, bytes.subarray(0, cut)));
      bytes = bytes.subarray(cut);
    }
    this.link.sendNow(encodeLog(stream, this.source, bytes));
  }
}

/** The start of the character that the byte at `index` belongs to. */
function characterStart(bytes, index) {
  while ((bytes[index] & 0xc0) === 0x80) index -= 1;
  return index;
}

/** A `process.stdout` that no invocation can close for the next one. */
class LogStream extends Writable {
  constructor(fd, write) {
    super({ decodeStrings: false, autoDestroy: false, emitClose: false });
    this.fd = fd;
    this._type = 'pipe';
    this._write = (chunk, encoding, done) => {
      write(chunk, encoding);
      done();
    };
  }

  end(chunk, encoding, callback) {
    if (typeof chunk === 'function') return this.end(undefined, undefined, chunk);
    if (typeof encoding === 'function') return this.end(chunk, undefined, encoding);
    if (chunk !== undefined && chunk !== null) this.write(chunk, encoding);
    if (callback !== undefined) process.nextTick(callback);
    return this;
  }

  destroy() {
    return this;
  }
}

/** Where text goes that no open invocation wrote. */
const INSTANCE = { stream: 0, isOpen: true, lines: null };

class LogCapture {
  /** @param currentOwner the open invocation that runs at this moment, or undefined */
  constructor(link, currentOwner) {
    this.link = link;
    this.currentOwner = currentOwner;
    for (const [name, source] of SOURCES) {
      const stream = new LogStream(source, (chunk, encoding) => this.write(source, chunk, encoding));
      Object.defineProperty(process, name, { configurable: true, enumerable: true, get: () => stream });
    }
  }

  write(source, chunk, encoding) {
    const current = this.currentOwner();
    const owner = current !== undefined && current.isOpen ? current : INSTANCE;
    owner.lines ??= SOURCES.map(([, number]) => new LineBuffer(this.link, number));
    owner.lines[source - 1].write(owner.stream, chunk, encoding);
  }

  /** Sends the unfinished lines of an invocation that is about to end. */
  end(owner) {
    if (owner.lines === null) return;
    for (const line of owner.lines) line.end(owner.stream);
  }

  endInstance() {
    this.end(INSTANCE);
  }
}

module.exports = { LogCapture };
