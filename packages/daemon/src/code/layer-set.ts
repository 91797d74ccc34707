import { createHash } from 'node:crypto';
import { mkdir, open, readdir, readlink, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { LIMITS } from '@thaw/protocol/limits.ts';
import type { Clock } from '../base/clock.ts';
import { fsyncDirectory } from '../store/fsync-directory.ts';
import { CodeDirectories } from './code-directories.ts';
import { linkOrCopy } from './link-or-copy.ts';
import { PackageTree } from './package-tree.ts';

export interface UnpackedLayer {
  readonly zipDigest: string;
  readonly directory: string;
}

/** The name of an ordered list of layers. */
export function layerSetDigest(zipDigests: readonly string[]): string {
  return createHash('sha256').update(zipDigests.join('\n')).digest('hex');
}

/**
 * Layers merged into one immutable directory each list, `<root>/<digest of the list>/`. Files are hard links to those
 * of the layers, so a set costs no space; where layers clash the first one in the list wins.
 */
export class LayerSets {
  readonly #directories: CodeDirectories;

  private constructor(directories: CodeDirectories) {
    this.#directories = directories;
  }

  static async open(root: string, clock: Clock): Promise<LayerSets> {
    return new LayerSets(await CodeDirectories.open(root, clock));
  }

  /** Throws INVALID_CODE_PACKAGE where links of several layers lead out together, STORE_FAILED. */
  merge(layers: readonly UnpackedLayer[]): Promise<string> {
    const digest = layerSetDigest(layers.map((layer) => layer.zipDigest));
    return this.#directories.require(digest, (temporary) => mergeLayers(layers, temporary));
  }

  collect(live: ReadonlySet<string>, graceMs: number): Promise<number> {
    return this.#directories.collect(live, graceMs);
  }
}

async function mergeLayers(layers: readonly UnpackedLayer[], target: string): Promise<void> {
  const tree = new PackageTree(layers.length * LIMITS.codeEntriesMax);
  await mkdir(target, { mode: 0o755 });
  for (const layer of layers) await mergeDirectory(tree, layer.directory, target, '');
  await tree.checkLinks();
  for (const [path, node] of tree.nodes) {
    if (node.kind === 'directory') await settle(join(target, path));
  }
  await settle(target);
}

/** Adds what is in `<source>/<path>` and is not in the target yet. */
async function mergeDirectory(
  tree: PackageTree,
  source: string,
  target: string,
  path: string,
): Promise<void> {
  for (const found of await readdir(join(source, path), { withFileTypes: true })) {
    const name = path === '' ? found.name : `${path}/${found.name}`;
    const existing = tree.nodes.get(name);
    if (found.isDirectory()) {
      // A file or a link of an earlier layer hides the whole directory.
      if (existing !== undefined && existing.kind !== 'directory') continue;
      if (existing === undefined) {
        tree.add(name, { kind: 'directory', implied: false });
        await mkdir(join(target, name), { mode: 0o755 });
      }
      await mergeDirectory(tree, source, target, name);
    } else if (existing === undefined && found.isSymbolicLink()) {
      const to = await readlink(join(source, name));
      tree.add(name, { kind: 'link', target: to });
      await symlink(to, join(target, name));
    } else if (existing === undefined) {
      tree.add(name, { kind: 'file' });
      await linkOrCopy(join(source, name), join(target, name));
    }
  }
}

async function settle(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.chmod(0o755);
  } finally {
    await handle.close();
  }
  await fsyncDirectory(directory);
}
