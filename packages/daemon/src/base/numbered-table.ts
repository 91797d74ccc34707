const SLOTS_MIN = 16;

/**
 * Things under numbers that rise, for what lives as long as a request; `MemberSet` says why it is not a `Map`. A number
 * stands in the slot that its lowest bits name. Numbers whose slot is taken are left out, so no two things ever meet.
 */
export class NumberedTable<T> {
  #slots: (T | undefined)[] = emptySlots(SLOTS_MIN);
  /** The number of what is in the slot. */
  #numbers = new Float64Array(SLOTS_MIN);
  #size = 0;
  #last = 0;

  get size(): number {
    return this.#size;
  }

  /** A number above all before, with a slot that is free. */
  nextNumber(): number {
    do this.#last += 1;
    while (this.#slots[this.#last & (this.#slots.length - 1)] !== undefined);
    return this.#last;
  }

  /** Under the number that `nextNumber` gave last. */
  set(number: number, value: T): void {
    if (number !== this.#last) throw new Error(`number ${number} is not the one that was given out`);
    this.#put(number, value);
    this.#size += 1;
    if (this.#size * 2 > this.#slots.length) this.#grow();
  }

  get(number: number): T | undefined {
    const slot = number & (this.#slots.length - 1);
    return this.#numbers[slot] === number ? this.#slots[slot] : undefined;
  }

  delete(number: number): void {
    const slot = number & (this.#slots.length - 1);
    if (this.#numbers[slot] !== number || this.#slots[slot] === undefined) return;
    this.#slots[slot] = undefined;
    this.#size -= 1;
  }

  /** As they are now, in no order. */
  values(): readonly T[] {
    return this.#slots.filter((value) => value !== undefined);
  }

  /** Numbers that differ in their lowest bits differ in one bit more. */
  #grow(): void {
    const slots = this.#slots;
    const numbers = this.#numbers;
    this.#slots = emptySlots(slots.length * 2);
    this.#numbers = new Float64Array(slots.length * 2);
    for (const [at, value] of slots.entries()) {
      if (value !== undefined) this.#put(numbers[at] ?? 0, value);
    }
  }

  #put(number: number, value: T): void {
    const slot = number & (this.#slots.length - 1);
    this.#slots[slot] = value;
    this.#numbers[slot] = number;
  }
}

function emptySlots<T>(count: number): (T | undefined)[] {
  return Array.from({ length: count }, () => undefined);
}
