import { mkdir, readdir, readlink, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { linkOrCopy } from './link-or-copy.ts';

/** Makes `target` a copy of the tree at `source` whose files are hard links to the same bytes. */
export async function linkTree(source: string, target: string): Promise<void> {
  await mkdir(target, { recursive: true, mode: 0o755 });
  for (const found of await readdir(source, { withFileTypes: true })) {
    const from = join(source, found.name);
    const to = join(target, found.name);
    if (found.isDirectory()) await linkTree(from, to);
    else if (found.isSymbolicLink()) await symlink(await readlink(from), to);
    else await linkOrCopy(from, to);
  }
}
