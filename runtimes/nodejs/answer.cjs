'use strict';
/**
 * The sending side of one invocation's stream: one RESPONSE, DATA while the window allows, one END, or ERROR.
 * What the window does not allow waits here; `onSent` of each write tells its writer when it has left.
 */
const {
  TYPE,
  DATA_BYTES_MAX,
  WINDOW_BYTES,
  encodeData,
  encodeHeadAndBody,
  encodeJson,
} = require('./frame.cjs');

const NOTHING = Buffer.alloc(0);

class Answer {
  /**
   * @param stream its number
   * @param on `ending()` right before the frame that ends the stream, `ended()` after it
   */
  constructor(link, stream, on) {
    this.link = link;
    this.stream = stream;
    this.on = on;
    this.window = WINDOW_BYTES;
    this.headJson = null;
    this.isHeadSent = false;
    this.queue = [];
    this.queuedBytes = 0;
    this.isEnding = false;
    this.isEnded = false;
    this.isDiscarding = false;
    /** Set when the writer's callbacks are to run, and log, before the stream ends. */
    this.endsAfterCallbacks = false;
    this.isEndDue = false;
  }

  setHead(headJson) {
    this.headJson = headJson;
  }

  /** Takes the bytes; they leave with the next `pump`. */
  write(bytes, onSent) {
    if (this.isEnded) {
      if (onSent !== undefined) process.nextTick(onSent);
      return;
    }
    this.queue.push({ bytes, onSent });
    this.queuedBytes += bytes.length;
  }

  end() {
    this.isEnding = true;
    this.pump();
  }

  fail(error) {
    if (this.isEnded) return;
    this.finish([encodeJson(TYPE.ERROR, this.stream, error)]);
  }

  grant(bytes) {
    this.window += bytes;
    this.pump();
  }

  /** Nobody waits for the answer: bytes are dropped, but the stream still has to end. */
  discard() {
    this.isDiscarding = true;
    this.pump();
  }

  pump() {
    while (!this.isEnded && !this.isEndDue) {
      const bytes = this.takeBytes();
      const isLast = this.isEnding && this.queue.length === 0;
      if (bytes.length === 0 && !isLast && this.isHeadSent) return;
      if (this.headJson === null) return;
      const frame = this.isHeadSent
        ? encodeData(this.stream, isLast, bytes)
        : encodeHeadAndBody(TYPE.RESPONSE, this.stream, this.headJson, isLast, bytes);
      this.isHeadSent = true;
      if (!isLast) this.link.sendAll(frame);
      else this.finishInTurn(frame);
    }
  }

  /** The next piece that the window and a frame have room for. */
  takeBytes() {
    const room = this.isDiscarding ? Infinity : Math.min(this.window, DATA_BYTES_MAX);
    while (this.queue.length > 0) {
      const first = this.queue[0];
      const isWhole = first.bytes.length <= room;
      if (!isWhole && room === 0) return NOTHING;
      const piece = isWhole ? first.bytes : first.bytes.subarray(0, room);
      this.queuedBytes -= piece.length;
      if (isWhole) {
        this.queue.shift();
        if (first.onSent !== undefined) process.nextTick(first.onSent);
      } else {
        first.bytes = first.bytes.subarray(room);
      }
      if (piece.length === 0 || this.isDiscarding) continue;
      this.window -= piece.length;
      if (isWhole) this.dropEmpty();
      return piece;
    }
    return NOTHING;
  }

  /** An end is often written as nothing behind the last bytes: these are then known to be the last. */
  dropEmpty() {
    while (this.queue.length > 0 && this.queue[0].bytes.length === 0) {
      const { onSent } = this.queue.shift();
      if (onSent !== undefined) process.nextTick(onSent);
    }
  }

  /** `onSent` of the last bytes is due in the next tick, before this one. */
  finishInTurn(frame) {
    if (!this.endsAfterCallbacks) {
      this.finish(frame);
      return;
    }
    this.isEndDue = true;
    process.nextTick(() => {
      if (!this.isEnded) this.finish(frame);
    });
  }

  finish(frame) {
    this.isEnded = true;
    this.on.ending();
    this.link.sendAll(frame);
    for (const { onSent } of this.queue) if (onSent !== undefined) process.nextTick(onSent);
    this.queue = [];
    this.queuedBytes = 0;
    this.on.ended();
  }
}

module.exports = { Answer };
