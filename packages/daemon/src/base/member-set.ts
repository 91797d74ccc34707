/** Each member knows where it stands, so it can be in one set at a time. */
export interface Member {
  /** -1 while it is in none. */
  place: number;
}

/**
 * A set of what lives as long as a request. A `Set` with as much coming and going makes its table anew all the time. The
 * dead tables that have grown old keep what stood in them and the next table alive until the old generation is collected,
 * and so every request would grow old.
 */
export class MemberSet<T extends Member> {
  readonly #members: T[] = [];

  get size(): number {
    return this.#members.length;
  }

  /** Throws for a member of some set. */
  add(member: T): void {
    if (member.place !== -1) throw new Error('it is in a set already');
    member.place = this.#members.length;
    this.#members.push(member);
  }

  /** False when it was not there. */
  delete(member: T): boolean {
    const { place } = member;
    if (place === -1 || this.#members[place] !== member) return false;
    const last = this.#members.pop();
    if (last !== undefined && last !== member) {
      this.#members[place] = last;
      last.place = place;
    }
    member.place = -1;
    return true;
  }

  /** As they are now, in no order. */
  values(): readonly T[] {
    return [...this.#members];
  }

  /** The only one; undefined when there are none or several. */
  get only(): T | undefined {
    return this.#members.length === 1 ? this.#members[0] : undefined;
  }
}
