import { constants } from 'node:fs';
import { lstat, open, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { ThawError } from '@thaw/protocol/thaw-error.ts';

/** User files of images; what is behind so many bytes is not read. */
const FILE_BYTES_MAX = 1024 * 1024;
/** As many links as the kernel follows in one path. */
const LINKS_MAX = 40;

/** What starting a program of an image depends on. */
export interface ImageFacts {
  /** Texts of `/etc/passwd` and `/etc/group`; undefined where they are not there. */
  readonly passwd: string | undefined;
  readonly group: string | undefined;
  /** What the image's working directory is. */
  readonly workingDirectory: 'directory' | 'other' | 'missing';
}

/**
 * Looks at the files of an image without holding up the process: a lazily mounted file may have to come from far, and the
 * process that brings it is kept alive by this one, so that waiting for it here would be waiting for ever. Links are
 * followed as a process whose root this is would follow them. Throws INVALID_IMAGE.
 */
export async function readImageFacts(root: string, workingDirectory: string): Promise<ImageFacts> {
  const [passwd, group, place] = await Promise.all([
    textOf(root, '/etc/passwd'),
    textOf(root, '/etc/group'),
    findInside(root, workingDirectory),
  ]);
  if (place === undefined) return { passwd, group, workingDirectory: 'missing' };
  const isDirectory = (await lstat(place)).isDirectory();
  return { passwd, group, workingDirectory: isDirectory ? 'directory' : 'other' };
}

/** A small file as a program in the image would find it. */
async function textOf(root: string, path: string): Promise<string | undefined> {
  const place = await findInside(root, path);
  if (place === undefined) return undefined;
  const file = await open(place, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stats = await file.stat();
    if (!stats.isFile()) return undefined;
    const bytes = Buffer.alloc(Math.min(stats.size, FILE_BYTES_MAX));
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
    return bytes.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}

/** As `resolveInside` does it, without waiting in the kernel. Undefined for what is missing. */
async function findInside(root: string, path: string): Promise<string | undefined> {
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
    const stats = await lstat(place).catch((error: unknown) => {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG') return undefined;
      throw error;
    });
    if (stats === undefined) return undefined;
    if (stats.isSymbolicLink()) {
      links += 1;
      if (links > LINKS_MAX)
        throw new ThawError('INVALID_IMAGE', `the path ${JSON.stringify(path)} leads through too many links`);
      const target = await readlink(place);
      if (target.startsWith('/')) found = [];
      pending.push(...target.split('/').toReversed());
    } else {
      found.push(part);
    }
  }
  return join(root, ...found);
}
