'use strict';
/* oxlint-disable no-underscore-dangle -- Node names so what a subclass replaces and what it has no other way to. */
/**
 * The one connection to the daemon. Reading goes through Node's socket; writing goes straight to its file descriptor:
 * a socket that has been handed bytes cannot be asked for them back, and at `process.exit()` or after an uncaught
 * exception everything that was sent before must still arrive. While the kernel takes everything (nearly always) that
 * is one system call with no further bookkeeping.
 *
 * Frames sent within one turn of the loop leave together; `flush` sends them earlier.
 *
 * When the kernel takes no more, Node's socket is what can wait until it does: it is given one byte, the first of those
 * that are left. As long as that has not left, it is the content of a buffer that is ours: whoever must write meanwhile,
 * past the socket, puts in its place the byte that is then the first (`flushBlocking`).
 */
// Taken now: user code may replace them in the module.
const { writeSync, writevSync } = require('node:fs');
const net = require('node:net');
const { FrameReader } = require('./frame.cjs');

/** Log text beyond this many unsent bytes waits for the daemon, as a write to a full pipe does. */
const BACKLOG_BYTES_MAX = 1024 * 1024;
/** How often a full socket is tried again while the loop does not turn. */
const RETRY_MS = 1;
/** A daemon that has read nothing for so long, while nothing else can go on, is gone. */
const BLOCKED_MS_MAX = 10_000;
/** Buffers in one system call; Linux allows 1024. */
const BUFFERS_PER_WRITE_MAX = 512;

const sleepCell = new Int32Array(new SharedArrayBuffer(4));

class Link {
  /**
   * @param path of the unix socket
   * @param on `connect()`, `frame(type, stream, payload)` (may throw), `data(stream, bytes, isEnd)` for bodies that come
   * in pieces, `close(error)`, once
   */
  constructor(path, on) {
    this.fd = -1;
    this.pending = [];
    this.pendingBytes = 0;
    this.isFlushDue = false;
    /** The byte that Node's socket has been given and waits with. */
    this.probe = Buffer.allocUnsafeSlow(1);
    this.isProbing = false;
    this.onProbeWritten = () => {
      this.settleProbe();
      this.flush();
    };
    this.isClosed = false;
    /** Set once the loop no longer turns. */
    this.isExiting = false;
    this.on = on;
    this.flushSoon = () => {
      this.isFlushDue = false;
      this.flush();
    };
    const reader = new FrameReader(on.frame, on.data);
    this.socket = net.connect(path);
    /** User code may replace it in the prototype. */
    this.writeToSocket = this.socket.write.bind(this.socket);
    this.socket.on('connect', () => {
      this.fd = this.socket._handle.fd;
      on.connect();
    });
    this.socket.on('data', (chunk) => {
      try {
        reader.push(chunk);
      } catch (error) {
        this.close(error);
      }
    });
    this.socket.on('error', (error) => this.close(error));
    this.socket.on('close', () => this.close(undefined));
  }

  send(buffer) {
    if (this.isClosed) return;
    this.pending.push(buffer);
    this.pendingBytes += buffer.length;
    if (this.isFlushDue) return;
    this.isFlushDue = true;
    process.nextTick(this.flushSoon);
  }

  sendAll(buffers) {
    for (const buffer of buffers) this.send(buffer);
  }

  /** Sends at once: a handler that goes on into an endless loop or is killed leaves nothing but what was sent. */
  sendNow(buffer) {
    if (this.isClosed) return;
    this.pending.push(buffer);
    this.pendingBytes += buffer.length;
    this.flush();
    if (this.isExiting) this.flushBlocking();
    else if (this.pendingBytes > BACKLOG_BYTES_MAX) this.flushBlocking(BACKLOG_BYTES_MAX);
  }

  /** Writes what the kernel takes now; the rest, when it takes more. */
  flush() {
    if (this.fd < 0) return;
    while (!this.isProbing && !this.writePending() && !this.isExiting) {
      // The socket has not told of the last one yet: it would keep this one to itself until then.
      if (this.socket.writableLength > 0) return;
      this.probe[0] = this.pending[0][0];
      this.isProbing = true;
      this.writeToSocket(this.probe, this.onProbeWritten);
      // Where it fitted just now its callback tells so too late for who writes before.
      this.settleProbe();
    }
  }

  /** Looks whether the byte has left. */
  settleProbe() {
    if (!this.isProbing || this.isClosed) return;
    const handle = this.socket._handle;
    if (handle === null || handle.writeQueueSize > 0) return;
    this.isProbing = false;
    this.drop(1);
  }

  /** Writes until at most so many bytes are left, and blocks the process meanwhile. */
  flushBlocking(bytesLeftMax = 0) {
    if (this.fd < 0) return;
    this.settleProbe();
    // Where the loop turns again, a byte has to be left for the socket.
    const last = this.isProbing && !this.isExiting ? this.takeLastByte() : undefined;
    this.writeBlocking(bytesLeftMax);
    if (last === undefined || this.isClosed) return;
    this.pending.push(last);
    this.pendingBytes += 1;
    this.probe[0] = this.pending[0][0];
  }

  takeLastByte() {
    const buffer = this.pending.pop();
    if (buffer.length > 1) this.pending.push(buffer.subarray(0, -1));
    this.pendingBytes -= 1;
    return buffer.subarray(-1);
  }

  writeBlocking(bytesLeftMax) {
    let bytesBefore = this.pendingBytes;
    let blockedMs = 0;
    while (!this.writePending() && this.pendingBytes > bytesLeftMax) {
      blockedMs = this.pendingBytes < bytesBefore ? 0 : blockedMs + RETRY_MS;
      bytesBefore = this.pendingBytes;
      if (blockedMs > BLOCKED_MS_MAX) {
        this.close(new Error('the daemon no longer reads'));
        return;
      }
      Atomics.wait(sleepCell, 0, 0, RETRY_MS);
    }
  }

  /** True when nothing is left to write. */
  writePending() {
    if (this.isClosed || this.fd < 0) return this.pending.length === 0;
    while (this.pending.length > 0) {
      let written;
      try {
        written =
          this.pending.length === 1
            ? writeSync(this.fd, this.pending[0])
            : writevSync(this.fd, this.pending.slice(0, BUFFERS_PER_WRITE_MAX));
      } catch (error) {
        if (error.code === 'EAGAIN') return false;
        if (error.code === 'EINTR') continue;
        this.close(error);
        return true;
      }
      this.drop(written);
    }
    return true;
  }

  drop(bytes) {
    this.pendingBytes -= bytes;
    let whole = 0;
    while (whole < this.pending.length && bytes >= this.pending[whole].length) {
      bytes -= this.pending[whole].length;
      whole += 1;
    }
    if (whole === this.pending.length) this.pending = [];
    else if (whole > 0) this.pending.splice(0, whole);
    if (bytes > 0) this.pending[0] = this.pending[0].subarray(bytes);
  }

  close(error) {
    if (this.isClosed) return;
    this.isClosed = true;
    this.pending = [];
    this.pendingBytes = 0;
    this.socket.destroy();
    this.on.close(error);
  }
}

module.exports = { Link };
