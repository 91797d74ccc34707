/** Lets one loop sleep until there is something to do. What happens while it works wakes it at once. */
export class Wake {
  #isAwake = false;
  #resume: (() => void) | undefined;

  wake(): void {
    this.#isAwake = true;
    this.#resume?.();
  }

  /** Resolves when woken, now or since the last time, or when the time is over. */
  async sleep(ms?: number): Promise<void> {
    if (!this.#isAwake) {
      await new Promise<void>((resolve) => {
        const timer = ms === undefined ? undefined : setTimeout(resolve, ms);
        this.#resume = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#isAwake = false;
    this.#resume = undefined;
  }
}
