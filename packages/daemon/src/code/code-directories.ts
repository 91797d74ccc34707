import { randomBytes } from 'node:crypto';
import { existsSync, renameSync, statSync, utimesSync } from 'node:fs';
import { chmod, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../base/clock.ts';
import { fsyncDirectory } from '../store/fsync-directory.ts';

const DIGEST = /^[0-9a-f]{64}$/;

/**
 * Immutable directories named by a digest. Each is made under a temporary name and renamed when it is complete and on
 * disk, so a directory that has its name is whole; several calls for one digest share the making. What an interrupted
 * making or removal left is cleared at open.
 */
export class CodeDirectories {
  readonly #root: string;
  readonly #clock: Clock;
  readonly #making = new Map<string, Promise<string>>();

  private constructor(root: string, clock: Clock) {
    this.#root = root;
    this.#clock = clock;
  }

  static async open(root: string, clock: Clock): Promise<CodeDirectories> {
    await mkdir(root, { recursive: true });
    // Instances run as other users and must get through to their code.
    await chmod(root, 0o755);
    for (const name of await readdir(root)) {
      if (!DIGEST.test(name)) await rm(join(root, name), { recursive: true, force: true });
    }
    return new CodeDirectories(root, clock);
  }

  /** The directory of `digest`, made by `make` when it is missing. `make` gets a path at which nothing is yet. */
  async require(digest: string, make: (temporary: string) => Promise<void>): Promise<string> {
    const path = this.#pathOf(digest);
    const underWay = this.#making.get(digest);
    if (underWay !== undefined) return underWay;
    if (existsSync(path)) {
      // As young as if it were new, in the same turn as the look: `collect` cannot come between.
      const seconds = this.#clock.now() / 1000;
      utimesSync(path, seconds, seconds);
      return path;
    }
    const making = this.#make(path, make).finally(() => this.#making.delete(digest));
    this.#making.set(digest, making);
    return making;
  }

  /** Removes what is not live and older than the grace; gives how many. */
  async collect(live: ReadonlySet<string>, graceMs: number): Promise<number> {
    let removed = 0;
    for (const name of await readdir(this.#root)) {
      if (!DIGEST.test(name) || live.has(name) || this.#making.has(name)) continue;
      const path = join(this.#root, name);
      const garbage = this.#temporary();
      // Looked at and taken out of use in one turn: nothing can renew it in between.
      const found = statSync(path, { throwIfNoEntry: false });
      if (found === undefined || this.#clock.now() - found.mtimeMs <= graceMs) continue;
      renameSync(path, garbage);
      await rm(garbage, { recursive: true, force: true });
      removed += 1;
    }
    return removed;
  }

  async #make(path: string, make: (temporary: string) => Promise<void>): Promise<string> {
    const temporary = this.#temporary();
    try {
      await make(temporary);
      await rename(temporary, path);
      await fsyncDirectory(this.#root);
      return path;
    } catch (error) {
      await rm(temporary, { recursive: true, force: true });
      if (error instanceof ThawError) throw error;
      throw new ThawError('STORE_FAILED', `could not write the directory ${path}`, { cause: error });
    }
  }

  #pathOf(digest: string): string {
    if (!DIGEST.test(digest)) throw new ThawError('INTERNAL', `not a digest: ${digest}`);
    return join(this.#root, digest);
  }

  #temporary(): string {
    return join(this.#root, `.tmp-${randomBytes(8).toString('hex')}`);
  }
}
