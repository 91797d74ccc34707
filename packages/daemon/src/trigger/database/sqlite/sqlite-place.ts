import { realpath } from 'node:fs/promises';
import { isAbsolute, sep } from 'node:path';
import { ThawError } from '@thaw/protocol/thaw-error.ts';

/** What is installed in a user's file begins with this: by the trigger's id, and out of the way of other names. */
export function sqliteName(triggerId: string): string {
  return `_thaw_${triggerId.toLowerCase().replaceAll(/[^a-z0-9]/gu, '')}`;
}

/** `sqlite:/path`, or `sqlite:///path` as other programs write it. Throws INVALID_ARGUMENT. */
export function sqlitePath(url: string): string {
  const rest = url.slice('sqlite:'.length);
  const path = rest.startsWith('//') ? rest.slice(2) : rest;
  if (isAbsolute(path) && !path.includes('\0')) return path;
  throw new ThawError(
    'INVALID_ARGUMENT',
    `the path of a SQLite file must begin with '/', and '${path}' does not`,
    {
      details: { field: 'url' },
    },
  );
}

/** Directories of this machine that whoever runs the platform lets triggers look into. */
export class AllowedPaths {
  readonly #directories: readonly string[];

  constructor(directories: readonly string[]) {
    this.#directories = directories;
  }

  /** Throws SOURCE_REFUSED for a file that is, links followed, in none of them; SOURCE_UNREACHABLE where there is none. */
  async require(path: string): Promise<void> {
    const real = await realpath(path).catch((error: unknown) => {
      throw new ThawError('SOURCE_UNREACHABLE', `there is no file ${path}`, { cause: error });
    });
    for (const directory of this.#directories) {
      const root = await realpath(directory).catch(() => undefined);
      if (root !== undefined && real.startsWith(root.endsWith(sep) ? root : `${root}${sep}`)) return;
    }
    throw new ThawError(
      'SOURCE_REFUSED',
      `the file ${path} is in no directory that this platform may look into; thaw serve --watch-dir allows one`,
      { details: { database: path } },
    );
  }
}
