/**
 * Host user ids that own nothing, one for each living sandbox, so that no sandbox may signal or look into another's
 * processes even if it finds them. They lie above what distributions give to people, services and containers
 * (shadow's subordinate ids end below 600,100,000 only by default, so this starts higher), and platforms on one
 * machine take different parts.
 */
const FIRST = 1_000_000_000;
const PARTS = 1024;
const IDS_PER_PART = 16_384;

export class UserIds {
  readonly #first: number;
  readonly #used = new Set<number>();
  #next = 0;

  constructor(hash: string) {
    this.#first = FIRST + (Number.parseInt(hash, 16) % PARTS) * IDS_PER_PART;
  }

  take(): number {
    if (this.#used.size >= IDS_PER_PART) throw new Error('every user id for sandboxes is in use');
    // Going round keeps an id out of use for long, so that what an earlier sandbox left is not met by the next.
    while (this.#used.has(this.#next)) this.#next = (this.#next + 1) % IDS_PER_PART;
    const taken = this.#next;
    this.#used.add(taken);
    this.#next = (taken + 1) % IDS_PER_PART;
    return this.#first + taken;
  }

  giveBack(uid: number): void {
    this.#used.delete(uid - this.#first);
  }
}
