import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ShimFamily } from '../../model/runnable.ts';

/** Less source than this is compiled in a millisecond or two, which is what a preparation could save. */
const SOURCE_BYTES_MIN = 64 * 1024;
/** Compressed libraries; those of the published interfaces alone have a quarter of it. */
const LIBRARY_BYTES_MIN = 1024 * 1024;

const SOURCES: Readonly<Record<ShimFamily, { readonly name: RegExp; readonly bytesMin: number }>> = {
  nodejs: { name: /\.[cm]?js$/u, bytesMin: SOURCE_BYTES_MIN },
  python3: { name: /\.py$/u, bytesMin: SOURCE_BYTES_MIN },
  java: { name: /\.jar$/iu, bytesMin: LIBRARY_BYTES_MIN },
};

/** Whether the trees hold enough source, by the names of files, for a preparation to be felt. */
export async function isWorthPreparing(roots: readonly string[], family: ShimFamily): Promise<boolean> {
  const { name: source, bytesMin } = SOURCES[family];
  const directories = [...roots];
  let bytes = 0;
  for (let directory = directories.pop(); directory !== undefined; directory = directories.pop()) {
    for (const found of await readdir(directory, { withFileTypes: true })) {
      const path = join(directory, found.name);
      if (found.isDirectory()) directories.push(path);
      else if (found.isFile() && source.test(found.name)) bytes += (await stat(path)).size;
      if (bytes >= bytesMin) return true;
    }
  }
  return false;
}
