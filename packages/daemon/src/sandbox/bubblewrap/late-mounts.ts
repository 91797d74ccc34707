import { mkdirSync, readdirSync, readFileSync, realpathSync, rmdirSync, symlinkSync } from 'node:fs';
import { join, posix } from 'node:path';
import type { LateMount } from '../sandbox.ts';
import { openMountCalls, type MountCalls } from './mount-calls.ts';

/** Holds a few empty directories and nothing else. */
const PROBE_BYTES = 65_536;
const PLACES_OPTIONS = 'mode=755,size=64k,nr_inodes=1100';
/** A link for each, in memory of the kernel. */
const WORKING_ENTRIES_MAX = 1_000;

/** So long a directory is believed to have no other file systems in it: a burst asks again and again. */
const LOOK_MS = 2000;

/**
 * Directories that come into a sandbox after it was started. Each sandbox has a small file system of its own, mounted
 * shared in the launcher's mount namespace; directories of it are bound into the sandbox, whose copies are slaves. What is
 * bound onto such a directory here then appears inside. Nothing leads the other way, and nobody inside has the
 * capability to mount or unmount.
 *
 * ```
 *   <directory>/shared/<id>/m       sandbox
 *      0 ◀── bind ── code  ─ ─ ─ ─▶  /code        then unshared and detached here: the sandbox keeps its copy
 * ```
 *
 * The namespace belongs to the launcher alone and dies with it and its sandboxes, so that no end of any of them, however
 * hard, leaves a mount behind.
 */
export class LateMounts {
  /** Mounted shared: whoever has a copy of it sees the sandboxes' own below their ids. */
  readonly directory: string;
  readonly #calls: MountCalls;
  readonly #staging: string;
  readonly #whole = new WholeDirectories();
  #remover: Remover | undefined;

  /** Throws where this machine does not let us. `directory` is private to the launcher, which must be root. */
  constructor(directory: string) {
    this.#calls = openMountCalls();
    this.#calls.leaveHost();
    this.directory = join(directory, 'shared');
    this.#staging = join(directory, 'staging');
    for (const path of [directory, this.directory, this.#staging])
      mkdirSync(path, { recursive: true, mode: 0o700 });
    this.#calls.memory(this.directory, 'mode=700,size=16m');
    this.#calls.share(this.directory);
    // One that holds nothing, to know now what a container or a security module forbids.
    const source = join(directory, 'empty');
    mkdirSync(source, { recursive: true });
    const probe = this.make('probe', ['/'], PROBE_BYTES, undefined);
    try {
      probe.attach([{ source, target: '/' }], 2 * PROBE_BYTES);
    } finally {
      probe.release();
      rmdirSync(source);
    }
  }

  /** From now on what is not needed any more is taken away by this, later: it waits for every processor to come round. */
  removeBy(remover: Remover): void {
    this.#remover = remover;
  }

  /** Everything that must stand before the sandbox is built. `workingDirectory` is what its command starts in. */
  make(
    id: string,
    targets: readonly string[],
    temporaryBytes: number,
    workingDirectory: string | undefined,
  ): LatePlaces {
    const paths = { directory: join(this.directory, id), staging: join(this.#staging, id) };
    return new LatePlaces(
      { calls: this.#calls, whole: this.#whole, remover: this.#remover },
      paths,
      targets,
      temporaryBytes,
      workingDirectory,
    );
  }
}

/** Unmounts the first ones, in order, and then removes the others. */
export type Remover = (mounted: readonly string[], directories: readonly string[]) => void;

interface Tools {
  readonly calls: MountCalls;
  readonly whole: WholeDirectories;
  /** Absent: what is to go goes at once. */
  readonly remover: Remover | undefined;
}

/** The late mounts of one sandbox. */
export class LatePlaces {
  /** Source on the host of each target inside, to be bound read-only. */
  readonly sources: ReadonlyMap<string, string>;
  /** Source of `/tmp`: a file system whose size can still be changed. */
  readonly temporary: string;
  readonly #tools: Tools;
  readonly #calls: MountCalls;
  readonly #directory: string;
  readonly #places: string;
  readonly #staging: string;
  readonly #workingDirectory: string | undefined;
  #isAttached = false;
  /** Mounts that lie upon each other there. */
  #staged = 0;

  constructor(
    tools: Tools,
    { directory, staging }: { readonly directory: string; readonly staging: string },
    targets: readonly string[],
    temporaryBytes: number,
    workingDirectory: string | undefined,
  ) {
    const { calls } = tools;
    this.#tools = tools;
    this.#calls = calls;
    this.#directory = directory;
    this.#places = join(directory, 'm');
    this.#staging = staging;
    this.#workingDirectory = workingDirectory;
    this.temporary = join(this.#places, 'tmp');
    this.sources = new Map(targets.map((target, index) => [target, join(this.#places, String(index))]));
    for (const path of [directory, this.#places, this.#staging]) mkdirSync(path);
    try {
      calls.memory(this.#places, PLACES_OPTIONS);
      this.#isAttached = true;
      calls.share(this.#places);
      for (const source of this.sources.values()) {
        // The loader remembers for good which directories of LD_LIBRARY_PATH were missing when it first looked.
        mkdirSync(join(source, 'lib'), { recursive: true, mode: 0o755 });
      }
      mkdirSync(this.temporary);
      calls.memory(this.temporary, `mode=1777,size=${temporaryBytes}`);
    } catch (error) {
      this.release();
      throw error;
    }
  }

  /** Lets directories of the host appear inside, read-only. Once. */
  attach(mounts: readonly LateMount[], temporaryBytes: number): void {
    this.#calls.resizeMemory(this.temporary, temporaryBytes);
    for (const { source, target } of mounts) {
      const place = this.sources.get(target);
      if (place === undefined) throw new Error(`nothing can be mounted at ${target} any more`);
      // What is mounted below a bound directory would stay behind.
      if (!this.#tools.whole.has(source)) throw new Error(`${source} has other file systems mounted in it`);
      if (target === this.#workingDirectory) linkEntries(source, place, target);
      this.#calls.bind(source, this.#staging);
      // Taking it away takes longer than all the rest, and is left for later.
      this.#staged += 1;
      // Before it can be seen: a later change here would not reach the copies.
      this.#calls.makeReadOnly(this.#staging);
      this.#calls.bind(this.#staging, place);
    }
  }

  /** Takes away what is on the host, in use inside or not. Doing so twice does nothing. */
  release(): void {
    if (!this.#isAttached) return;
    this.#isAttached = false;
    // What has appeared inside stays.
    this.#calls.unshare(this.#places);
    const mounted = [this.#places, ...Array.from({ length: this.#staged }, () => this.#staging)];
    const directories = [this.#places, this.#staging, this.#directory];
    if (this.#tools.remover !== undefined) {
      this.#tools.remover(mounted, directories);
      return;
    }
    for (const path of mounted) this.#calls.detach(path);
    for (const path of directories) rmdirSync(path);
  }
}

/**
 * Whoever works in a directory that something is mounted over stays in what is below. A runtime that cannot change its
 * working directory later finds links there, with the names that its new directory has.
 */
function linkEntries(source: string, below: string, target: string): void {
  const names = readdirSync(source);
  if (names.length > WORKING_ENTRIES_MAX)
    throw new Error(`${source} has more than ${WORKING_ENTRIES_MAX} entries to be linked`);
  for (const name of readdirSync(below)) rmdirSync(join(below, name));
  for (const name of names) symlinkSync(posix.join(target, name), join(below, name));
}

/** Directories that no other file system is mounted in: what is mounted below a bound directory would stay behind. */
class WholeDirectories {
  readonly #known = new Map<string, number>();

  has(directory: string): boolean {
    const nowMs = performance.now();
    for (const [known, seenMs] of this.#known) {
      if (nowMs - seenMs < LOOK_MS) break;
      this.#known.delete(known);
    }
    if (this.#known.has(directory)) return true;
    if (hasMountsBelow(directory)) return false;
    this.#known.set(directory, nowMs);
    return true;
  }
}

function hasMountsBelow(directory: string): boolean {
  const escaped = realpathSync(directory).replaceAll(/[\\ \t\n]/gu, (character) => {
    return `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`;
  });
  return readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${escaped}/`);
}
