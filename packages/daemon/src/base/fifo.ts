/** A first-in first-out queue with a bound, O(1) at both ends; entries may be marked gone in place. */
export class Fifo<T> {
  readonly capacity: number;
  #items: (T | undefined)[] = [];
  #head = 0;
  #size = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  get size(): number {
    return this.#size;
  }

  /** False when the queue is full: the item was not taken. */
  push(item: T): boolean {
    if (this.#size >= this.capacity) return false;
    this.#items.push(item);
    this.#size += 1;
    return true;
  }

  shift(): T | undefined {
    while (this.#head < this.#items.length) {
      const item = this.#items[this.#head];
      this.#items[this.#head] = undefined;
      this.#head += 1;
      if (item !== undefined) {
        this.#size -= 1;
        this.#compact();
        return item;
      }
    }
    this.#compact();
    return undefined;
  }

  /** Takes one out of the middle; linear, for the rare caller that goes away while it waits. */
  remove(item: T): boolean {
    const index = this.#items.indexOf(item, this.#head);
    if (index === -1) return false;
    this.#items[index] = undefined;
    this.#size -= 1;
    return true;
  }

  #compact(): void {
    if (this.#head === this.#items.length) {
      this.#items = [];
      this.#head = 0;
    } else if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
  }
}
