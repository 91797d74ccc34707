import { watch, type FSWatcher } from 'node:fs';

/** After so long in which it was frozen the watch begins: most are called again before. */
const BEGIN_MS = 1000;
/** How often it is looked where the kernel does not tell. */
const LOOK_MS = 1000;
/** The kernel tells of a process that is ending, which may not have ended yet. */
const LOOK_AFTER_EVENT_MS = 100;
const LOOKS_AFTER_EVENT = 20;

export interface FrozenWatchDeps {
  /** The file that the kernel changes when what is frozen in a group changes; undefined where there is none. */
  readonly eventsFile: string | undefined;
  /** Whether the process that the sandbox is for has ended. */
  readonly isDead: () => boolean;
  readonly onDead: () => void;
  /** Told once why files cannot be watched: all are looked at then, each second. */
  readonly note: (text: string) => void;
}

/**
 * Sees that a frozen process was killed. Its parent inside is frozen too and does not notice: without this the dead one
 * would stay until the next thaw. A frozen sandbox takes nothing of the processor for it, however many there are.
 */
export class FrozenWatch {
  static #isUnwatchableNoted = false;
  readonly #deps: FrozenWatchDeps;
  #beginning: NodeJS.Timeout | undefined;
  #looking: NodeJS.Timeout | undefined;
  #watcher: FSWatcher | undefined;
  #looksLeft = 0;

  constructor(deps: FrozenWatchDeps) {
    this.#deps = deps;
  }

  /** It is frozen from now on. */
  start(): void {
    this.stop();
    this.#beginning = setTimeout(() => this.#begin(), BEGIN_MS);
  }

  stop(): void {
    clearTimeout(this.#beginning);
    clearInterval(this.#looking);
    this.#looking = undefined;
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  #begin(): void {
    const { eventsFile } = this.#deps;
    if (eventsFile === undefined) {
      this.#lookAlways();
    } else {
      try {
        this.#watcher = watch(eventsFile, { persistent: false }, () => this.#onEvent());
        this.#watcher.once('error', (error) => this.#onUnwatchable(error));
      } catch (error) {
        this.#onUnwatchable(error);
      }
    }
    // What happened before is told by nobody.
    this.#look();
  }

  #onEvent(): void {
    this.#looksLeft = LOOKS_AFTER_EVENT;
    this.#looking ??= setInterval(() => {
      this.#looksLeft -= 1;
      if (this.#looksLeft <= 0) {
        clearInterval(this.#looking);
        this.#looking = undefined;
      }
      this.#look();
    }, LOOK_AFTER_EVENT_MS);
  }

  #onUnwatchable(error: unknown): void {
    this.#watcher?.close();
    this.#watcher = undefined;
    if (!FrozenWatch.#isUnwatchableNoted) {
      FrozenWatch.#isUnwatchableNoted = true;
      this.#deps.note(
        `frozen sandboxes are looked at each second: they cannot be watched (${error instanceof Error ? error.message : String(error)})`,
      );
    }
    this.#lookAlways();
  }

  #lookAlways(): void {
    clearInterval(this.#looking);
    this.#looking = setInterval(() => this.#look(), LOOK_MS);
  }

  #look(): void {
    if (this.#deps.isDead()) this.#deps.onDead();
  }
}
