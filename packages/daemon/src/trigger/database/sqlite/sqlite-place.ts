import { isAbsolute } from 'node:path';
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
