'use strict';
/** Gives the daemon back the window of a request body as the bytes are taken, in steps worth a frame. */
const { WINDOW_BYTES, encodeCredit } = require('./frame.cjs');

/** Each step is a write here and wakes the daemon there; the sender always has the other half to go on with. */
const STEP_BYTES = WINDOW_BYTES / 2;

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
