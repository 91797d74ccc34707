/** A network between a registry and a machine: how fast, and how far. */
export interface LinkShape {
  readonly bitsPerSecond: number;
  /** There and back. */
  readonly roundTripMs: number;
}

/** What a sender may have under way before the first acknowledgement: ten segments, as Linux begins. */
const FIRST_WINDOW_BYTES = 10 * 1460;
const WINDOW_BYTES_MAX = 4 * 1024 * 1024;
/** After so long without a byte Linux begins a connection's window anew. */
const IDLE_MS = 200;

/** All bytes of one direction go over it, one after the other. Pure: time is passed in. */
export class Line {
  readonly #bytesPerMs: number;
  #freeAtMs = 0;

  constructor({ bitsPerSecond }: LinkShape) {
    this.#bytesPerMs = bitsPerSecond / 8 / 1000;
  }

  /** When the last of these bytes has left, if they are ready at `readyMs`. */
  send(bytes: number, readyMs: number): number {
    this.#freeAtMs = Math.max(this.#freeAtMs, readyMs) + bytes / this.#bytesPerMs;
    return this.#freeAtMs;
  }
}

/** Slow start of one connection: what may be sent in a round trip doubles with each. Nothing is ever lost here. */
export class Window {
  readonly #roundTripMs: number;
  #bytes = FIRST_WINDOW_BYTES;
  #roundMs = 0;
  #sent = 0;
  #lastMs = 0;

  constructor({ roundTripMs }: LinkShape) {
    this.#roundTripMs = roundTripMs;
  }

  /** When these bytes may go. */
  admit(bytes: number, nowMs: number): number {
    if (nowMs - this.#lastMs > IDLE_MS) this.#bytes = FIRST_WINDOW_BYTES;
    if (nowMs - Math.max(this.#roundMs, this.#lastMs) > this.#roundTripMs) this.#begin(nowMs);
    while (this.#sent >= this.#bytes) {
      this.#bytes = Math.min(WINDOW_BYTES_MAX, this.#bytes * 2);
      this.#begin(this.#roundMs + this.#roundTripMs);
    }
    this.#sent += bytes;
    this.#lastMs = Math.max(nowMs, this.#roundMs);
    return this.#lastMs;
  }

  #begin(atMs: number): void {
    this.#roundMs = atMs;
    this.#sent = 0;
  }
}
