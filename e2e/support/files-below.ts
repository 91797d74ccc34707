import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Every file below a directory by its path there, as the files of a code package. */
export function filesBelow(directory: string): Record<string, Buffer> {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  return Object.fromEntries(
    entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => [path.slice(directory.length + 1), readFileSync(path)]),
  );
}
