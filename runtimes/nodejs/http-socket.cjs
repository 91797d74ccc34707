'use strict';
/**
 * What the request and the response of an HTTP handler take for their connection. Node's own response writes its body
 * here, and here it becomes the answer's frames; there is no HTTP text. It is the response's body only: reading gives
 * nothing.
 */
const { Duplex } = require('node:stream');

/** Queued bytes from which on `write` asks its caller to wait. */
const QUEUED_BYTES_MAX = 64 * 1024;

class HttpSocket extends Duplex {
  /** @param onDestroyed called once with the reason, or null */
  constructor(answer, head, onDestroyed) {
    super({ autoDestroy: false, read() {} });
    this.answer = answer;
    this.onDestroyed = onDestroyed;
    this.needsDrain = false;
    this.isPumpDue = false;
    this.remoteAddress = head.remote;
    this.remoteFamily = head.remote.includes(':') ? 'IPv6' : 'IPv4';
    this.remotePort = 0;
    this.localAddress = '127.0.0.1';
    this.localPort = 0;
    this.encrypted = head.scheme === 'https';
    this.bytesWritten = 0;
    this.connecting = false;
    this.readyState = 'open';
  }

  get writableLength() {
    // A getter of the base class's constructor may look before the answer is there.
    return this.answer?.queuedBytes ?? 0;
  }

  /** Replaces the base's machinery: the answer has its own queue. */
  write(chunk, encoding, callback) {
    if (typeof encoding === 'function') return this.write(chunk, undefined, encoding);
    if (this.destroyed) {
      if (typeof callback === 'function') process.nextTick(callback, new Error('the caller went away'));
      return false;
    }
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : asBuffer(chunk);
    this.bytesWritten += bytes.length;
    this.answer.write(bytes, () => {
      if (typeof callback === 'function') callback();
      this.drainIfDue();
    });
    if (!this.isPumpDue) {
      // The end of the answer may come in the same turn; then head, body and end are one frame.
      this.isPumpDue = true;
      process.nextTick(() => {
        this.isPumpDue = false;
        this.answer.pump();
        this.answer.link.flush();
      });
    }
    const isFull = this.answer.queuedBytes >= QUEUED_BYTES_MAX;
    if (isFull) this.needsDrain = true;
    return !isFull;
  }

  drainIfDue() {
    if (!this.needsDrain || this.destroyed || this.answer.queuedBytes >= QUEUED_BYTES_MAX) return;
    this.needsDrain = false;
    this.emit('drain');
  }

  end() {
    return this;
  }

  cork() {}

  uncork() {}

  _destroy(error, done) {
    this.readyState = 'closed';
    this.onDestroyed(error);
    // Without the error: nobody listens for it on a connection that user code did not make.
    done(null);
  }

  setTimeout() {
    return this;
  }

  setNoDelay() {
    return this;
  }

  setKeepAlive() {
    return this;
  }

  ref() {
    return this;
  }

  unref() {
    return this;
  }

  address() {
    return { address: this.localAddress, family: 'IPv4', port: this.localPort };
  }

  destroySoon() {
    this.destroy();
  }
}

function asBuffer(bytes) {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

module.exports = { HttpSocket };
