import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { ThawError } from '@thaw/protocol/thaw-error.ts';

/** As many links as the kernel follows in one path. */
const LINKS_MAX = 40;

/**
 * The place on the host of a path inside an image's root, as a process whose root that is would find it: links are
 * resolved by hand and never lead out. `onMissing` may make a directory that is not there; otherwise what is missing
 * gives undefined. Nobody else may write below the root meanwhile. Throws INVALID_IMAGE for a path through something that
 * is no directory, or through too many links.
 */
export function resolveInside(
  root: string,
  path: string,
  onMissing?: (place: string) => boolean,
): string | undefined {
  const pending = path.split('/').toReversed();
  let found: string[] = [];
  let links = 0;
  for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
    if (part === '' || part === '.') continue;
    if (part === '..') {
      found.pop();
      continue;
    }
    const place = join(root, ...found, part);
    const stats = statsOf(place, path);
    if (stats === undefined) {
      if (onMissing?.(place) !== true) return undefined;
      found.push(part);
    } else if (stats.isSymbolicLink()) {
      links += 1;
      if (links > LINKS_MAX) throw invalid(path, 'leads through too many links');
      const target = readlinkSync(place);
      if (target.startsWith('/')) found = [];
      pending.push(...target.split('/').toReversed());
    } else {
      if (!stats.isDirectory() && pending.some((rest) => rest !== '' && rest !== '.'))
        throw invalid(path, `leads through ${part}, which is no directory`);
      found.push(part);
    }
  }
  return join(root, ...found);
}

function statsOf(place: string, path: string): Stats | undefined {
  try {
    return lstatSync(place, { throwIfNoEntry: false });
  } catch (error) {
    const isTooLong = error instanceof Error && 'code' in error && error.code === 'ENAMETOOLONG';
    throw isTooLong ? invalid(path.slice(0, 200), 'has a name that is too long') : error;
  }
}

function invalid(path: string, why: string): ThawError {
  return new ThawError('INVALID_IMAGE', `the path ${JSON.stringify(path)} ${why}`);
}
