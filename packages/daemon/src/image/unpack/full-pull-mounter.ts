import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImageMounter, MountRequest, RootFileSystem } from '../image-mounter.ts';
import { pullDirectories, rootName, type PullDirectories } from './pull-directories.ts';
import { PullerProcess } from './puller-process.ts';

export interface FullPullOptions {
  /** `<data>/images`. */
  readonly directory: string;
  readonly insecureRegistries: readonly string[];
}

/** Images as directories that were unpacked whole. Works everywhere, and takes as long as the image is large. */
export class FullPullMounter implements ImageMounter {
  readonly #directories: PullDirectories;
  readonly #puller: PullerProcess;
  /** How often each image is mounted or being pulled, by the name of its directory. */
  readonly #uses = new Map<string, number>();
  /** Roots that could not be removed at once. */
  readonly #removals = new Set<Promise<void>>();

  private constructor({ directory, insecureRegistries }: FullPullOptions) {
    this.#directories = pullDirectories(directory);
    this.#puller = new PullerProcess({ directory, insecureRegistries });
  }

  /** Clears what interrupted pulls left. One at a time may be open on a directory. */
  static async open(options: FullPullOptions): Promise<FullPullMounter> {
    const { blobs, roots } = pullDirectories(options.directory);
    for (const directory of [blobs, roots]) {
      // Strangers' files with strangers' modes: nobody but the platform gets at them.
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      for (const name of readdirSync(directory)) {
        if (name.startsWith('.tmp-')) await rm(join(directory, name), { recursive: true, force: true });
      }
    }
    return new FullPullMounter(options);
  }

  get pullerPid(): number | undefined {
    return this.#puller.pid;
  }

  isHere(digest: string): boolean {
    return existsSync(join(this.#directories.roots, rootName(digest)));
  }

  async mount({ image, reference, setting }: MountRequest): Promise<RootFileSystem> {
    const name = rootName(image.digest);
    const path = join(this.#directories.roots, name);
    const release = this.#use(name);
    try {
      const wasHere = existsSync(path);
      if (!wasHere) await this.#puller.pull({ image, reference, setting });
      const reason = wasHere ? 'the whole image is on disk' : 'the whole image was pulled';
      return { path, mode: 'full', reason, release };
    } catch (error) {
      release();
      throw error;
    }
  }

  async collect(live: ReadonlySet<string>): Promise<number> {
    const { blobs, roots } = this.#directories;
    const kept = new Set([...[...live].map(rootName), ...this.#uses.keys()]);
    const layers = new Set<string>();
    let isPulling = false;
    let removed = 0;
    for (const name of kept) {
      const known = layersOf(join(roots, `${name}.json`));
      if (known === undefined) isPulling ||= this.#uses.has(name);
      else for (const digest of known) layers.add(rootName(digest));
    }
    for (const name of readdirSync(roots)) {
      if (name.startsWith('.tmp-') || kept.has(name.replace(/\.json$/u, ''))) continue;
      this.#remove(roots, name);
      if (!name.endsWith('.json')) removed += 1;
    }
    // Which layers a pull is about to use is not known here.
    if (!isPulling) {
      for (const name of readdirSync(blobs)) {
        if (!name.startsWith('.tmp-') && !layers.has(name)) this.#remove(blobs, name);
      }
    }
    await Promise.all(this.#removals);
    return removed;
  }

  async close(): Promise<void> {
    await this.#puller.close();
    await Promise.all(this.#removals);
  }

  #use(name: string): () => void {
    this.#uses.set(name, (this.#uses.get(name) ?? 0) + 1);
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      const left = (this.#uses.get(name) ?? 1) - 1;
      if (left === 0) this.#uses.delete(name);
      else this.#uses.set(name, left);
    };
  }

  /** Out of use in the same turn as the decision; what is left of it then takes its time. */
  #remove(directory: string, name: string): void {
    const garbage = join(directory, `.tmp-${randomBytes(8).toString('hex')}`);
    renameSync(join(directory, name), garbage);
    const removal = rm(garbage, { recursive: true, force: true }).finally(() =>
      this.#removals.delete(removal),
    );
    this.#removals.add(removal);
  }
}

function layersOf(file: string): string[] | undefined {
  try {
    const parsed: unknown = JSON.parse(readFileSync(file, 'utf8'));
    const layers: unknown =
      typeof parsed === 'object' && parsed !== null ? Reflect.get(parsed, 'layers') : [];
    return Array.isArray(layers) ? layers.map(String) : [];
  } catch {
    return undefined;
  }
}
