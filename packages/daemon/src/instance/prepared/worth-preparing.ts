import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Less source than this is compiled in a millisecond or two, which is what a preparation could save. */
const SOURCE_BYTES_MIN = 64 * 1024;

/** Whether the trees hold enough source, by the names of files, for a preparation to be felt. */
export async function isWorthPreparing(roots: readonly string[], source: RegExp): Promise<boolean> {
  const directories = [...roots];
  let bytes = 0;
  for (let directory = directories.pop(); directory !== undefined; directory = directories.pop()) {
    for (const found of await readdir(directory, { withFileTypes: true })) {
      const path = join(directory, found.name);
      if (found.isDirectory()) directories.push(path);
      else if (found.isFile() && source.test(found.name)) bytes += (await stat(path)).size;
      if (bytes >= SOURCE_BYTES_MIN) return true;
    }
  }
  return false;
}
