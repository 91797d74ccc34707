/** Acts in the order in which they were put in, each not before its time. */
export class TimedQueue {
  readonly #waiting: { readonly atMs: number; readonly act: () => void }[] = [];
  #timer: NodeJS.Timeout | undefined;

  put(atMs: number, act: () => void): void {
    this.#waiting.push({ atMs, act });
    if (this.#timer === undefined) this.#run();
  }

  #run(): void {
    this.#timer = undefined;
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      const waitMs = first.atMs - performance.now();
      // Timers are late by up to a millisecond; half of one is as near as they get.
      if (waitMs >= 0.5) {
        this.#timer = setTimeout(() => this.#run(), waitMs);
        return;
      }
      this.#waiting.shift();
      first.act();
    }
  }
}
