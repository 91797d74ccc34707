import { setImmediate as nextTurn } from 'node:timers/promises';
import { ThawError } from '@thaw/protocol/thaw-error.ts';

/** Longest name of one directory entry, and of a path within a package: what Linux file systems take. */
const COMPONENT_BYTES_MAX = 255;
const PATH_BYTES_MAX = 2048;
/** As many links as Linux follows for one path. */
const LINKS_FOLLOWED_MAX = 40;
/** Path components that resolving one link, and all of them, may visit: tangled links cost more than they look. */
const LINK_STEPS_MAX = 2_000;
const LINK_STEPS_TOTAL_MAX = 400_000;
/** Steps between which other work gets its turn. */
const STEPS_PER_TURN = 1_000;

export type TreeNode =
  | { readonly kind: 'file' }
  | { readonly kind: 'directory'; readonly implied: boolean }
  | { readonly kind: 'link'; readonly target: string };

export function invalidPackage(message: string, cause?: unknown): ThawError {
  return new ThawError('INVALID_CODE_PACKAGE', message, cause === undefined ? {} : { cause });
}

/**
 * What a package will be on disk, known before anything is written: paths are relative, `/`-separated and clean.
 * Parents that an archive does not name are implied, and they count, since a deep path is as good a bomb as a file.
 */
export class PackageTree {
  readonly nodes = new Map<string, TreeNode>();
  readonly #entriesMax: number;

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  /** Throws INVALID_CODE_PACKAGE for a path that is there already, or stands below something that is no directory. */
  add(path: string, node: TreeNode): void {
    const components = path.split('/');
    for (let depth = 1; depth < components.length; depth += 1) {
      const parent = components.slice(0, depth).join('/');
      const existing = this.nodes.get(parent);
      if (existing === undefined) this.#set(parent, { kind: 'directory', implied: true });
      else if (existing.kind !== 'directory') {
        throw invalidPackage(
          `the entry ${shown(path)} stands below ${shown(parent)}, which is a ${existing.kind}`,
        );
      }
    }
    const existing = this.nodes.get(path);
    const isNamedOnlyNow = existing?.kind === 'directory' && existing.implied && node.kind === 'directory';
    if (existing !== undefined && !isNamedOnlyNow) {
      throw invalidPackage(`the entry ${shown(path)} is there twice (a ${existing.kind} and a ${node.kind})`);
    }
    this.#set(path, node);
  }

  /**
   * Throws INVALID_CODE_PACKAGE when a symbolic link leads out of the package, by itself or through others. Where a
   * target is missing, the path is followed as if it were plain directories.
   */
  async checkLinks(): Promise<void> {
    let steps = 0;
    let stepsThisTurn = 0;
    for (const [path, node] of this.nodes) {
      const taken = node.kind === 'link' ? this.#follow(path, node.target) : 1;
      if (node.kind === 'link') steps += taken;
      if (steps > LINK_STEPS_TOTAL_MAX) {
        throw invalidPackage(`the symbolic links of the code package are too tangled, at ${shown(path)}`);
      }
      stepsThisTurn += taken;
      if (stepsThisTurn < STEPS_PER_TURN) continue;
      stepsThisTurn = 0;
      await nextTurn();
    }
  }

  /** Gives the steps it took. */
  #follow(link: string, target: string): number {
    if (target.startsWith('/')) throw escape(link, target);
    const at = link.split('/').slice(0, -1);
    let ahead = target.split('/').toReversed();
    let followed = 0;
    let steps = 0;
    while (ahead.length > 0) {
      steps += 1;
      if (steps > LINK_STEPS_MAX) {
        throw invalidPackage(
          `the symbolic link ${shown(link)} leads through more than ${LINK_STEPS_MAX} names`,
        );
      }
      const component = ahead.pop();
      if (component === undefined || component === '' || component === '.') continue;
      if (component === '..') {
        if (at.pop() === undefined) throw escape(link, target);
        continue;
      }
      at.push(component);
      const node = this.nodes.get(at.join('/'));
      if (node?.kind !== 'link') continue;
      followed += 1;
      if (followed > LINKS_FOLLOWED_MAX) {
        throw invalidPackage(
          `the symbolic link ${shown(link)} leads through more than ${LINKS_FOLLOWED_MAX} others`,
        );
      }
      if (node.target.startsWith('/')) throw escape(link, target);
      at.pop();
      ahead = [...ahead, ...node.target.split('/').toReversed()];
    }
    return steps;
  }

  #set(path: string, node: TreeNode): void {
    this.nodes.set(path, node);
    if (this.nodes.size > this.#entriesMax) {
      throw invalidPackage(`the code package has more than ${this.#entriesMax} files and directories`);
    }
  }
}

/** The clean relative path that an archive's entry name stands for; '' is the root itself. */
export function packagePath(name: string): string {
  const refuse = (why: string) => invalidPackage(`the entry ${shown(name)} ${why}`);
  if (name === '') throw refuse('has no name');
  if (name.includes('\0')) throw refuse('has a NUL in its name');
  if (name.includes('\\')) throw refuse('has a backslash in its name');
  if (name.startsWith('/')) throw refuse('has an absolute path');
  if (/^[a-zA-Z]:/.test(name)) throw refuse('has a drive letter');
  if (!name.isWellFormed()) throw refuse('has a name that is not Unicode');
  const components = name.split('/').filter((component) => component !== '' && component !== '.');
  if (components.includes('..')) throw refuse('leads out of the package (..)');
  if (components.some((component) => Buffer.byteLength(component) > COMPONENT_BYTES_MAX)) {
    throw refuse(`has a path component of more than ${COMPONENT_BYTES_MAX} bytes`);
  }
  const path = components.join('/');
  if (Buffer.byteLength(path) > PATH_BYTES_MAX)
    throw refuse(`has a path of more than ${PATH_BYTES_MAX} bytes`);
  return path;
}

const SHOWN_MAX = 200;

/** A name from outside in a message: quoted, control characters escaped, bounded. */
export function shown(name: string): string {
  return JSON.stringify(name.length > SHOWN_MAX ? `${name.slice(0, SHOWN_MAX)}…` : name);
}

function escape(link: string, target: string): ThawError {
  return invalidPackage(`the symbolic link ${shown(link)} leads out of the package to ${shown(target)}`);
}
