import { existsSync } from 'node:fs';
import { lstat, readdir, readFile, readlink, realpath, stat } from 'node:fs/promises';
import { isAbsolute, join, normalize, relative, sep } from 'node:path';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import ignore, { type Ignore } from 'ignore';

export const IGNORE_FILE = '.fcignore';

/**
 * Never part of a function, whatever the ignore file says. Python's caches name the time of the source that they were
 * made from; a package has no times, so there they would never be used, and would make each install a change.
 */
const ALWAYS_IGNORED = ['.git/', '__pycache__/', IGNORE_FILE];

/** One thing of a code package. `path` is relative to its root, with `/`. */
export type CodeEntry =
  | { readonly kind: 'file'; readonly path: string; readonly source: string; readonly isExecutable: boolean }
  | { readonly kind: 'link'; readonly path: string; readonly target: string }
  | { readonly kind: 'directory'; readonly path: string };

/** Says of a path relative to the code directory (directories end with `/`) whether it stays out of the package. */
export type IsIgnored = (path: string) => boolean;

/** The rules of the directory's `.fcignore`, in the syntax of `.gitignore`. */
export async function readIgnoreRules(directory: string): Promise<IsIgnored> {
  const rules: Ignore = ignore();
  const file = join(directory, IGNORE_FILE);
  if (existsSync(file)) rules.add(await readFile(file, 'utf8'));
  rules.add(ALWAYS_IGNORED);
  return (path) => rules.ignores(path);
}

/**
 * Everything that goes into the package, sorted by path, so that the same tree always gives the same list. A symbolic
 * link that stays inside stays a link; one that leads outside is replaced by what it points to, since its target will
 * not be there where the function runs.
 */
export async function listCode(root: string): Promise<CodeEntry[]> {
  const walk: Walk = { root, isIgnored: await readIgnoreRules(root), entries: [] };
  await addDirectory(walk, root, '', [await realpath(root)]);
  return walk.entries.toSorted((left, right) =>
    left.path < right.path ? -1 : left.path > right.path ? 1 : 0,
  );
}

interface Walk {
  readonly root: string;
  readonly isIgnored: IsIgnored;
  readonly entries: CodeEntry[];
}

/** `ancestors` are the real paths of the directories that we are in: a link to one of them would never end. */
async function addDirectory(
  walk: Walk,
  source: string,
  path: string,
  ancestors: readonly string[],
): Promise<void> {
  const names = await readdir(source);
  if (names.length === 0 && path !== '') add(walk, { kind: 'directory', path });
  for (const name of names) {
    const childSource = join(source, name);
    const childPath = path === '' ? name : `${path}/${name}`;
    const stats = await lstat(childSource);
    if (walk.isIgnored(stats.isDirectory() ? `${childPath}/` : childPath)) continue;
    if (stats.isDirectory()) await addDirectory(walk, childSource, childPath, [...ancestors, childSource]);
    else if (stats.isSymbolicLink()) await addLink(walk, childSource, childPath, ancestors);
    else if (stats.isFile()) addFile(walk, childSource, childPath, stats.mode);
    // Sockets, pipes and devices are no code.
  }
}

async function addLink(
  walk: Walk,
  source: string,
  path: string,
  ancestors: readonly string[],
): Promise<void> {
  const target = await readlink(source);
  if (staysInside(path, target)) {
    add(walk, { kind: 'link', path, target });
    return;
  }
  let real: string;
  try {
    real = await realpath(source);
  } catch (error) {
    throw new ThawError('INVALID_ARGUMENT', `the link ${source} leads nowhere (to ${target})`, {
      cause: error,
      details: { advice: `Remove it, or name it in ${IGNORE_FILE}.` },
    });
  }
  const stats = await stat(real);
  if (stats.isFile()) addFile(walk, real, path, stats.mode);
  else if (stats.isDirectory() && !ancestors.includes(real)) {
    if (!walk.isIgnored(`${path}/`)) await addDirectory(walk, real, path, [...ancestors, real]);
  }
}

function staysInside(path: string, target: string): boolean {
  if (isAbsolute(target)) return false;
  const resolved = normalize(join(path, '..', target));
  return resolved !== '..' && !resolved.startsWith(`..${sep}`);
}

function addFile(walk: Walk, source: string, path: string, mode: number): void {
  add(walk, { kind: 'file', path, source, isExecutable: (mode & 0o111) !== 0 });
}

function add(walk: Walk, entry: CodeEntry): void {
  if (walk.entries.length >= LIMITS.codeEntriesMax) {
    throw new ThawError('LIMIT_EXCEEDED', `${walk.root} holds more than ${LIMITS.codeEntriesMax} files`, {
      details: { advice: `Keep what the function does not need out with ${IGNORE_FILE}.` },
    });
  }
  walk.entries.push(entry);
}

/** `path` of something below `root`, as ignore rules see it. */
export function ignorePath(root: string, path: string): string {
  return relative(root, path).split(sep).join('/');
}
