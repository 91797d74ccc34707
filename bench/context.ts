import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startThaw, type Thaw, type ThawOptions } from './machine/thaw.ts';

export interface BenchOptions {
  readonly quick: boolean;
  readonly rounds: number;
  readonly say: (line: string) => void;
}

/** What a scenario works with. Whatever it opens here is closed when the scenario ends, the last first. */
export class BenchContext implements AsyncDisposable {
  readonly quick: boolean;
  readonly rounds: number;
  readonly say: (line: string) => void;
  readonly #open = new AsyncDisposableStack();
  #ending: Promise<void> | undefined;

  constructor({ quick, rounds, say }: BenchOptions) {
    this.quick = quick;
    this.rounds = rounds;
    this.say = say;
  }

  /** The first of a full run, the second of a quick one. */
  pick<T>(full: T, quick: T): T {
    return this.quick ? quick : full;
  }

  onEnd(end: () => unknown): void {
    this.#open.defer(async () => {
      await end();
    });
  }

  async directory(): Promise<string> {
    // At once, so that no end comes between.
    if (this.#ending !== undefined) throw new Error('the run is being ended');
    const path = mkdtempSync(join(tmpdir(), 'thaw-bench-'));
    this.onEnd(() => rm(path, { recursive: true, force: true, maxRetries: 3 }));
    return path;
  }

  async startThaw(options: ThawOptions = {}): Promise<Thaw> {
    const thaw = await startThaw(await this.directory(), options);
    this.onEnd(() => thaw.stop());
    return thaw;
  }

  /** Who interrupts a run and the run itself both wait for the same end. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#ending ??= this.#open.disposeAsync();
    return this.#ending;
  }
}
