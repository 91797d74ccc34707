'use strict';
/** Gives the daemon back the window of a request body as the bytes are taken, in steps worth a frame. */
const { WINDOW_BYTES, encodeCredit } = require('./frame.cjs');

/** A quarter: the sender always has three quarters of the window to go on with. */
const STEP_BYTES = WINDOW_BYTES / 4;

class Credit {
  constructor(link, stream) {
    this.link = link;
    this.stream = stream;
    this.takenBytes = 0;
  }

  take(bytes) {
    this.takenBytes += bytes;
    if (this.takenBytes < STEP_BYTES) return;
    this.link.send(encodeCredit(this.stream, this.takenBytes));
    this.takenBytes = 0;
  }
}

module.exports = { Credit };
