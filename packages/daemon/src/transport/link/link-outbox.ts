import type { Socket } from 'node:net';
import { COPY_BYTES_MAX } from './frame.ts';

/**
 * Frames on their way to one runtime. A system call for each costs as much as all else that a request takes of the
 * link, and wakes the runtime each time; so those of one turn of the loop leave in one write. How much waits here is
 * bounded by the requests of a turn and their windows.
 */
export class LinkOutbox {
  readonly #socket: Socket;
  #frames: Buffer[] = [];
  #isFlushDue = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Leaves with the others of this turn. */
  send(frame: Buffer): void {
    this.#frames.push(frame);
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    setImmediate(this.#onTurnEnd);
  }

  /** Leaves at once, behind what waits: nothing else is under way that it could share a write with. */
  sendNow(frame: Buffer): void {
    if (this.#frames.length === 0) {
      this.#socket.write(frame);
      return;
    }
    this.#frames.push(frame);
    this.#flush();
  }

  readonly #onTurnEnd = (): void => {
    this.#isFlushDue = false;
    this.#flush();
  };

  #flush(): void {
    const frames = this.#frames;
    if (frames.length === 0 || this.#socket.destroyed) return;
    this.#frames = [];
    const [only] = frames;
    if (frames.length === 1 && only !== undefined) {
      this.#socket.write(only);
    } else if (frames.every((frame) => frame.length <= COPY_BYTES_MAX)) {
      this.#socket.write(Buffer.concat(frames));
    } else {
      this.#socket.cork();
      for (const frame of frames) this.#socket.write(frame);
      this.#socket.uncork();
    }
  }
}
