/** Who wants to be told of what has a name. Nothing is kept of a name that nobody watches. */
export class Watchers {
  readonly #byName = new Map<string, Set<() => void>>();

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** Until the function that it gives is called. */
  add(name: string, watcher: () => void): () => void {
    const watchers = this.#byName.get(name) ?? new Set();
    this.#byName.set(name, watchers);
    watchers.add(watcher);
    return () => {
      watchers.delete(watcher);
      if (watchers.size === 0 && this.#byName.get(name) === watchers) this.#byName.delete(name);
    };
  }

  tell(name: string): void {
    for (const watcher of this.#byName.get(name) ?? []) watcher();
  }

  clear(): void {
    this.#byName.clear();
  }
}
