/** A lease that only the process knows. */
export interface UnwrittenLease {
  readonly functionName: string;
  readonly token: number;
  readonly leasedAt: number;
  /** The task's, as they are stored. */
  readonly events: string;
  readonly payloadSize: number;
}

/** Where a task stands in its line. */
export interface LinePosition {
  readonly dueAt: number;
  readonly seq: number;
}

/**
 * Leases that are not in the database. They end with the process, so that a crash must find nothing of them, and most
 * tasks are settled before anybody looks: writing each would cost as much as everything else that is written of a task.
 *
 * Of each line it also knows how far it is taken: all that waits in the database up to there is leased here. What comes
 * in front of that, or is undone, makes it forget the place, and the next look begins at the front.
 */
export class UnwrittenLeases {
  readonly #bySeq = new Map<number, UnwrittenLease>();
  readonly #byFunction = new Map<string, Set<number>>();
  readonly #takenUpTo = new Map<string, LinePosition>();
  /** What the calls of one commit changed, to be taken back where it fails. */
  #changes: (() => void)[] = [];

  /** A commit begins. */
  begin(): void {
    this.#changes = [];
  }

  /** The commit that began has written nothing. */
  undo(): void {
    for (const change of this.#changes.toReversed()) change();
    this.#changes = [];
    this.#takenUpTo.clear();
  }

  add(seq: number, lease: UnwrittenLease): void {
    this.#put(seq, lease);
    this.#changes.push(() => this.#drop(seq, lease));
  }

  get(seq: number): UnwrittenLease | undefined {
    return this.#bySeq.get(seq);
  }

  /** It is over, or in the database from now on. */
  remove(seq: number): void {
    const lease = this.#bySeq.get(seq);
    if (lease === undefined) return;
    this.#drop(seq, lease);
    this.#changes.push(() => this.#put(seq, lease));
  }

  /** Of one function, or of all. */
  seqs(functionName?: string): readonly number[] {
    if (functionName === undefined) return [...this.#bySeq.keys()];
    return [...(this.#byFunction.get(functionName) ?? [])];
  }

  count(functionName: string): number {
    return this.#byFunction.get(functionName)?.size ?? 0;
  }

  takenUpTo(functionName: string): LinePosition | undefined {
    return this.#takenUpTo.get(functionName);
  }

  setTakenUpTo(functionName: string, position: LinePosition): void {
    this.#takenUpTo.set(functionName, position);
  }

  /** A task waits at this place of the line from now on. */
  noteWaiting(functionName: string, { dueAt, seq }: LinePosition): void {
    const taken = this.#takenUpTo.get(functionName);
    if (taken === undefined) return;
    if (dueAt < taken.dueAt || (dueAt === taken.dueAt && seq <= taken.seq))
      this.#takenUpTo.delete(functionName);
  }

  #put(seq: number, lease: UnwrittenLease): void {
    this.#bySeq.set(seq, lease);
    let seqs = this.#byFunction.get(lease.functionName);
    if (seqs === undefined) {
      seqs = new Set();
      this.#byFunction.set(lease.functionName, seqs);
    }
    seqs.add(seq);
  }

  #drop(seq: number, { functionName }: UnwrittenLease): void {
    this.#bySeq.delete(seq);
    const seqs = this.#byFunction.get(functionName);
    seqs?.delete(seq);
    if (seqs?.size !== 0) return;
    this.#byFunction.delete(functionName);
    this.#takenUpTo.delete(functionName);
  }
}
