import { Readable } from 'node:stream';

/** A body that is too large to be read whole first: comes as its reader takes it. */
export class SmallBody extends Readable {
  readonly #onWanted: () => void;
  #leftBytes: number;

  /** `onWanted` is called whenever its reader takes more. */
  constructor(bytes: number, onWanted: () => void) {
    super();
    this.#leftBytes = bytes;
    this.#onWanted = onWanted;
    // A caller that breaks off is no failure of the platform's where nobody reads any more.
    this.on('error', ignore);
  }

  /** What has not come yet. */
  get leftBytes(): number {
    return this.#leftBytes;
  }

  /** Takes the next bytes, all of them its own. False asks for a pause until it wants more. */
  receive(chunk: Buffer): boolean {
    this.#leftBytes -= chunk.length;
    if (this.#leftBytes < 0) throw new Error('a body was given more than its length');
    // Nobody reads it any more: the rest is dropped, so that the connection can carry the answer.
    if (this.destroyed) return true;
    const goesOn = this.push(chunk);
    if (this.#leftBytes === 0) this.push(null);
    return goesOn;
  }

  /** The caller is gone before all has come. */
  breakOff(): void {
    this.destroy(new Error('the caller closed the connection'));
  }

  override _read(): void {
    this.#onWanted();
  }
}

function ignore(): void {}
