import { realpathSync } from 'node:fs';
import { resolve, sep } from 'node:path';
import { ThawError } from '@thaw/protocol/thaw-error.ts';

/** The directories of the platform's machine below which triggers may watch: the operator named them at the start. */
export class WatchedDirectories {
  readonly #allowed: readonly string[];

  constructor(directories: readonly string[]) {
    this.#allowed = directories.map((directory) => realOf(resolve(directory)));
  }

  /** The directory behind all links. Throws INVALID_ARGUMENT where it is not below an allowed one. */
  require(path: string): string {
    const real = realOf(resolve(path));
    if (this.#allowed.some((allowed) => real === allowed || real.startsWith(withSlash(allowed)))) return real;
    const which = this.#allowed.length === 0 ? 'none' : this.#allowed.join(', ');
    throw new ThawError(
      'INVALID_ARGUMENT',
      `the platform may not watch '${path}'; it may what is below ${which} (thaw serve --watch-dir)`,
      { details: { field: 'triggerConfig' } },
    );
  }
}

/** Of a path that is not there yet, as far as it is. */
function realOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function withSlash(path: string): string {
  return path.endsWith(sep) ? path : `${path}${sep}`;
}
