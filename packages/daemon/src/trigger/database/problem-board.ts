import type { ThawError } from '@thaw/protocol/thaw-error.ts';

/** Where a problem may come from, what weighs most first. */
const PLACES = ['source', 'delivery', 'tables', 'leftover'] as const;
export type ProblemPlace = (typeof PLACES)[number];

/** The one problem that a trigger shows, out of those that its parts have. */
export class ProblemBoard {
  readonly #report: (problem: ThawError | undefined) => void;
  readonly #problems = new Map<ProblemPlace, ThawError>();
  #shown: ThawError | undefined;

  constructor(report: (problem: ThawError | undefined) => void) {
    this.#report = report;
  }

  /** The same problem once more says nothing new. */
  put(place: ProblemPlace, problem: ThawError | undefined): void {
    if (problem === undefined) this.#problems.delete(place);
    else this.#problems.set(place, problem);
    const worst = PLACES.map((each) => this.#problems.get(each)).find((each) => each !== undefined);
    if (worst === this.#shown) return;
    if (worst !== undefined && worst.code === this.#shown?.code && worst.message === this.#shown.message)
      return;
    this.#shown = worst;
    this.#report(worst);
  }
}
