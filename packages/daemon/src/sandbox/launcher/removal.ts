import type { KernelThread } from './kernel-thread.ts';

/** Nobody waits for it, and to tell the thread of one place costs more than to take the place away. */
const GATHER_MS = 50;
/** No more is kept back. */
const PLACES_MAX = 64;

/** What the launcher's second thread is to take away, told of in one message for many. */
export class Removal {
  readonly #thread: KernelThread;
  readonly #note: (text: string) => void;
  #mounted: string[] = [];
  #directories: string[] = [];
  #due: NodeJS.Timeout | undefined;

  constructor(thread: KernelThread, note: (text: string) => void) {
    this.#thread = thread;
    this.#note = note;
  }

  /** Unmounts the first ones, in order, and then removes the others. */
  add(mounted: readonly string[], directories: readonly string[]): void {
    this.#mounted.push(...mounted);
    this.#directories.push(...directories);
    if (this.#mounted.length >= PLACES_MAX) this.flush();
    else this.#due ??= setTimeout(() => this.flush(), GATHER_MS);
  }

  flush(): void {
    clearTimeout(this.#due);
    this.#due = undefined;
    const [mounted, directories] = [this.#mounted, this.#directories];
    if (mounted.length + directories.length === 0) return;
    this.#mounted = [];
    this.#directories = [];
    this.#thread.perform({ type: 'removePlaces', mounted, directories }).catch((error: unknown) => {
      this.#note(`what came late into a sandbox was not taken away: ${String(error)}`);
    });
  }
}
