import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { SqliteFileError } from './sqlite-client.ts';

/** What a person has to do, by the first byte of SQLite's code of the error (sqlite.org/rescode.html). */
const REFUSALS: Readonly<Record<number, string>> = {
  3: 'may not be read by this user',
  8: 'may not be written, and changes are written down in the file itself',
  11: 'is damaged',
  14: 'cannot be opened; its directory must be writable, too',
  23: 'may not be read by this user',
  26: 'is no SQLite database',
};
const BUSY = new Set([5, 6]);

/** What went wrong with a file, in words that say what to do. */
export function sqliteProblem(thrown: unknown, path: string): ThawError {
  if (thrown instanceof ThawError) return thrown;
  const options = { cause: thrown, details: { database: path } };
  const code = codeOf(thrown);
  const primary = Number(code) & 0xff;
  if (code === 'ENOENT') return new ThawError('SOURCE_UNREACHABLE', `there is no file ${path}`, options);
  if (code === 'EACCES' || code === 'EPERM') {
    return new ThawError('SOURCE_REFUSED', `the file ${path} may not be read by this user`, options);
  }
  if (isLocked(thrown)) {
    return new ThawError('SOURCE_UNREACHABLE', `the file ${path} is locked by another program`, options);
  }
  const refusal = REFUSALS[primary];
  if (refusal !== undefined) return new ThawError('SOURCE_REFUSED', `the file ${path} ${refusal}`, options);
  return new ThawError('SOURCE_UNREACHABLE', `the file ${path} cannot be followed now`, options);
}

/** Another program holds the file, longer than a statement waits. */
export function isLocked(thrown: unknown): boolean {
  return BUSY.has(Number(codeOf(thrown)) & 0xff);
}

function codeOf(thrown: unknown): string {
  return thrown instanceof SqliteFileError ? thrown.code : '';
}
