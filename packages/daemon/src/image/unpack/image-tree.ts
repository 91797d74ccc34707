import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  futimesSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { ImageIds } from '../image-ids.ts';
import { resolveInside } from '../resolve-inside.ts';

/** One entry of a layer, whatever archive it came from. */
export interface LayerEntry {
  readonly name: string;
  readonly kind: 'file' | 'directory' | 'symlink' | 'link' | 'device' | 'fifo';
  readonly linkName: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds. */
  readonly mtime: number;
}

export interface ImageTreeOptions {
  /** An empty directory that nobody else knows. */
  readonly root: string;
  /** Undefined: everything belongs to the platform's user. */
  readonly ids: ImageIds | undefined;
  readonly entriesMax: number;
}

const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';
const DIRECTORY_MODE = 0o755;
const PATH_CHARACTERS_MAX = 4096;

/**
 * The merged files of an image while its layers come in, from the lowest up. Entries are what a stranger wrote: names are
 * resolved below the root component by component, existing files are replaced and never written through, and what
 * cannot be kept inside throws INVALID_IMAGE.
 */
export class ImageTree {
  readonly #root: string;
  readonly #ids: ImageIds | undefined;
  readonly #entriesMax: number;
  /** Real directories by the path that an entry named them with; emptied when any name changes its meaning. */
  readonly #directories = new Map<string, string>();
  /** What the present layer has brought: its own whiteouts are not meant for it. */
  readonly #ofLayer = new Set<string>();
  /** Set last, since every entry in a directory changes its time. */
  readonly #directoryTimes = new Map<string, number>();
  #entries = 0;

  constructor({ root, ids, entriesMax }: ImageTreeOptions) {
    this.#root = root;
    this.#ids = ids;
    this.#entriesMax = entriesMax;
    mkdirSync(root, { mode: DIRECTORY_MODE });
    this.#ownDirectory(root);
  }

  /** Adds one entry; `content` gives a file's bytes and is read for files only. */
  async add(entry: LayerEntry, content: AsyncIterable<Buffer>): Promise<void> {
    this.#entries += 1;
    if (this.#entries > this.#entriesMax)
      throw new ThawError('IMAGE_TOO_LARGE', `the image has more than ${this.#entriesMax} entries`);
    const path = plainPath(entry.name);
    const name = basename(path);
    if (path === '') {
      if (entry.kind === 'directory') this.#setDirectory(this.#root, entry);
      else throw new ThawError('INVALID_IMAGE', 'it replaces the root by something else');
      return;
    }
    if (name.startsWith(WHITEOUT)) {
      this.#whiteOut(dirname(path), name);
      return;
    }
    // A sandbox has a /dev of its own, so that what base systems keep there is never seen.
    if (entry.kind === 'device' && !path.startsWith('dev/'))
      throw new ThawError('INVALID_IMAGE', 'it is a device');
    if (entry.kind === 'device' || entry.kind === 'fifo') return;
    const place = join(this.#directory(dirname(path)), name);
    this.#ofLayer.add(place);
    const existing = lstatSync(place, { throwIfNoEntry: false });
    if (entry.kind === 'directory') {
      if (existing?.isDirectory() !== true) {
        if (existing !== undefined) this.#remove(place);
        mkdirSync(place, { mode: 0o700 });
      }
      this.#setDirectory(place, entry);
      return;
    }
    if (entry.kind === 'link') {
      this.#link(place, entry.linkName, existing !== undefined);
      return;
    }
    if (existing !== undefined) this.#remove(place);
    if (entry.kind === 'symlink') this.#symlink(place, entry);
    else await this.#write(place, entry, content);
  }

  endLayer(): void {
    for (const [place, mtime] of this.#directoryTimes) {
      if (lstatSync(place, { throwIfNoEntry: false })?.isDirectory() === true)
        utimesSync(place, mtime, mtime);
    }
    this.#directoryTimes.clear();
    this.#ofLayer.clear();
  }

  #directory(path: string): string {
    const known = this.#directories.get(path);
    if (known !== undefined) return known;
    const place = resolveInside(this.#root, path, (missing) => {
      mkdirSync(missing, { mode: DIRECTORY_MODE });
      this.#ownDirectory(missing);
      return true;
    });
    if (place === undefined || !lstatSync(place).isDirectory())
      throw new ThawError('INVALID_IMAGE', `${path} is no directory`);
    this.#directories.set(path, place);
    return place;
  }

  #setDirectory(place: string, { mode, mtime, ...owner }: LayerEntry): void {
    if (this.#ids !== undefined) lchownSync(place, this.#ids.toHost(owner.uid), this.#ids.toHost(owner.gid));
    // A user who is not root must be able to write on, and to delete it all one day.
    chmodSync(place, this.#ids === undefined ? (mode & 0o1777) | 0o700 : mode & 0o7777);
    this.#directoryTimes.set(place, mtime);
  }

  #ownDirectory(place: string): void {
    if (this.#ids !== undefined) lchownSync(place, this.#ids.toHost(0), this.#ids.toHost(0));
    chmodSync(place, DIRECTORY_MODE);
  }

  #symlink(place: string, { linkName, mtime, uid, gid }: LayerEntry): void {
    if (linkName === '' || linkName.length > PATH_CHARACTERS_MAX || linkName.includes('\0'))
      throw new ThawError('INVALID_IMAGE', 'it is a link to nowhere');
    symlinkSync(linkName, place);
    if (this.#ids !== undefined) lchownSync(place, this.#ids.toHost(uid), this.#ids.toHost(gid));
    lutimesSync(place, mtime, mtime);
    this.#directories.clear();
  }

  /** A hard link's target is a path of the image, and its last name is taken as it is. */
  #link(place: string, linkName: string, isThere: boolean): void {
    const target = plainPath(linkName);
    const directory = target === '' ? undefined : resolveInside(this.#root, dirname(target));
    const source = directory === undefined ? undefined : join(directory, basename(target));
    const stats = source === undefined ? undefined : lstatSync(source, { throwIfNoEntry: false });
    if (source === undefined || stats === undefined)
      throw new ThawError(
        'INVALID_IMAGE',
        `it is a hard link to ${JSON.stringify(linkName)}, which is not there`,
      );
    if (!stats.isFile() && !stats.isSymbolicLink())
      throw new ThawError(
        'INVALID_IMAGE',
        `it is a hard link to ${JSON.stringify(linkName)}, which is no file`,
      );
    if (source === place) return;
    if (isThere) this.#remove(place);
    linkSync(source, place);
    if (stats.isSymbolicLink()) this.#directories.clear();
  }

  async #write(place: string, entry: LayerEntry, content: AsyncIterable<Buffer>): Promise<void> {
    const { O_CREAT, O_EXCL, O_WRONLY, O_NOFOLLOW } = constants;
    const file = openSync(place, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, 0o600);
    try {
      for await (const part of content) {
        for (let written = 0; written < part.length;) written += writeSync(file, part, written);
      }
      if (this.#ids !== undefined) fchownSync(file, this.#ids.toHost(entry.uid), this.#ids.toHost(entry.gid));
      // Without a range of ids of its own, a program that changes its user would change to the platform's.
      fchmodSync(file, this.#ids === undefined ? (entry.mode & 0o777) | 0o400 : entry.mode & 0o7777);
      futimesSync(file, entry.mtime, entry.mtime);
    } finally {
      closeSync(file);
    }
  }

  #whiteOut(directory: string, name: string): void {
    const place = resolveInside(this.#root, directory);
    if (place === undefined) return;
    if (name === OPAQUE) {
      for (const child of readdirSync(place)) this.#removeLower(join(place, child));
      return;
    }
    const hidden = name.slice(WHITEOUT.length);
    // `.wh..wh.` begins the names that other file systems keep for themselves.
    if (hidden.startsWith(WHITEOUT)) return;
    if (hidden === '' || hidden === '.' || hidden === '..')
      throw new ThawError('INVALID_IMAGE', 'it removes no name');
    this.#removeLower(join(place, hidden));
  }

  /** Removes what lower layers brought and keeps what this one did. */
  #removeLower(place: string): void {
    const stats = lstatSync(place, { throwIfNoEntry: false });
    if (stats === undefined) return;
    const below = `${place}/`;
    if (stats.isDirectory() && [...this.#ofLayer].some((own) => own === place || own.startsWith(below))) {
      for (const child of readdirSync(place)) this.#removeLower(join(place, child));
    } else if (!this.#ofLayer.has(place)) {
      this.#remove(place);
    }
  }

  #remove(place: string): void {
    const stats = lstatSync(place);
    if (stats.isDirectory()) rmSync(place, { recursive: true });
    else unlinkSync(place);
    if (!stats.isFile()) this.#directories.clear();
  }
}

/** A name from outside as a path below the root, without a step up. */
function plainPath(name: string): string {
  if (name.length > PATH_CHARACTERS_MAX || name.includes('\0'))
    throw new ThawError('INVALID_IMAGE', 'it has a name that is none');
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw new ThawError('INVALID_IMAGE', 'its name leads out of where it is');
  return parts.join('/');
}
