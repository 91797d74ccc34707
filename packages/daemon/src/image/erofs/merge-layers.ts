import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { LayerEntry } from '../layer/layer-entry.ts';
import type { DirectoryNode, ImageNode } from './image-tree.ts';

const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';
/** Symbolic links on the way to an entry; the kernel's own bound. */
const LINKS_FOLLOWED_MAX = 40;
const DEFAULT_DIRECTORY_MODE = 0o755;

/**
 * Lays layers over each other, the lowest first, as the OCI image specification says ("Applying Changesets"): a later
 * entry replaces an earlier one of another kind, directories keep what is in them, whiteouts take away what lower
 * layers brought, never what their own did. Nothing here touches a disk.
 */
export function mergeLayers(layers: readonly (readonly LayerEntry[])[]): DirectoryNode {
  const root = newDirectory(0n, 0);
  for (const [layer, entries] of layers.entries()) {
    const plain: LayerEntry[] = [];
    for (const entry of entries) {
      if (baseName(entry.path).startsWith(WHITEOUT)) applyWhiteout(root, entry.path, layer);
      else plain.push(entry);
    }
    for (const entry of plain) applyEntry(root, entry, layer);
  }
  return root;
}

function applyWhiteout(root: DirectoryNode, path: string, layer: number): void {
  const name = baseName(path);
  const parent = walk(root, parentPath(path));
  if (parent === undefined) return;
  if (name === OPAQUE) hideBelow(parent, layer);
  // Other names of this form are AUFS's own bookkeeping.
  else if (!name.startsWith('.wh..wh.')) {
    const hidden = parent.children.get(name.slice(WHITEOUT.length));
    if (hidden !== undefined && hidden.layer < layer) parent.children.delete(name.slice(WHITEOUT.length));
  }
}

/** The tree holds only lower layers while whiteouts are applied, so that all there is goes. */
function hideBelow(directory: DirectoryNode, layer: number): void {
  for (const [name, child] of directory.children) if (child.layer < layer) directory.children.delete(name);
}

function applyEntry(root: DirectoryNode, entry: LayerEntry, layer: number): void {
  if (entry.path === '') {
    if (entry.kind !== 'directory') throw refused(entry.path, 'replaces the root directory');
    adopt(root, entry, layer);
    return;
  }
  const parent = requireDirectory(root, entry, layer);
  const name = baseName(entry.path);
  const present = parent.children.get(name);
  if (entry.kind === 'directory' && present?.kind === 'directory') {
    adopt(present, entry, layer);
    return;
  }
  parent.children.set(name, nodeOf(root, entry, layer));
}

function nodeOf(root: DirectoryNode, entry: LayerEntry, layer: number): ImageNode {
  const { kind, mode, uid, gid, mtimeNs, xattrs } = entry;
  const traits = { mode, uid, gid, mtimeNs, xattrs, layer };
  switch (kind) {
    case 'directory':
      return { ...traits, kind, children: new Map() };
    case 'file':
      return { ...traits, kind, size: entry.size, chunks: entry.chunks, chunkLayer: layer };
    case 'symlink':
      return { ...traits, kind, target: entry.linkTarget };
    case 'fifo':
      return { ...traits, kind };
    case 'hardlink': {
      const target = findNode(root, entry.linkTarget);
      if (target === undefined)
        throw refused(entry.path, 'is a hard link to a file that is not in the image');
      if (target.kind === 'directory') throw refused(entry.path, 'is a hard link to a directory');
      // The file counts as this layer's from now on, as after a copy-up, under all its names.
      target.layer = layer;
      return target;
    }
  }
}

function adopt(
  directory: DirectoryNode,
  { mode, uid, gid, mtimeNs, xattrs }: LayerEntry,
  layer: number,
): void {
  Object.assign(directory, { mode, uid, gid, mtimeNs, xattrs, layer });
}

/** The entry's directory, made where a layer leaves it out, as every unpacker does. */
function requireDirectory(root: DirectoryNode, entry: LayerEntry, layer: number): DirectoryNode {
  const directory = walk(root, parentPath(entry.path), () => newDirectory(entry.mtimeNs, layer));
  if (directory === undefined) throw refused(entry.path, 'leads through something that is no directory');
  return directory;
}

/** Follows links on the way, not the last one. */
function findNode(root: DirectoryNode, path: string): ImageNode | undefined {
  return walk(root, parentPath(path))?.children.get(baseName(path));
}

/**
 * The directory of this path as a process whose root the image is would find it: links are followed and never lead out.
 * What is missing is made by `make`; without it, and where something is no directory, there is none.
 */
function walk(root: DirectoryNode, path: string, make?: () => DirectoryNode): DirectoryNode | undefined {
  const pending = path.split('/').toReversed();
  let trail: DirectoryNode[] = [];
  let followed = 0;
  for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
    if (part === '' || part === '.') continue;
    if (part === '..') {
      trail.pop();
      continue;
    }
    const here = trail.at(-1) ?? root;
    let child = here.children.get(part);
    if (child === undefined && make !== undefined) {
      child = make();
      here.children.set(part, child);
    }
    if (child?.kind === 'symlink') {
      followed += 1;
      if (followed > LINKS_FOLLOWED_MAX) throw refused(path, 'leads through too many symbolic links');
      if (child.target.startsWith('/')) trail = [];
      pending.push(...child.target.split('/').toReversed());
    } else if (child?.kind === 'directory') {
      trail.push(child);
    } else {
      return undefined;
    }
  }
  return trail.at(-1) ?? root;
}

function newDirectory(mtimeNs: bigint, layer: number): DirectoryNode {
  const children = new Map<string, ImageNode>();
  return {
    kind: 'directory',
    mode: DEFAULT_DIRECTORY_MODE,
    uid: 0,
    gid: 0,
    mtimeNs,
    xattrs: new Map(),
    layer,
    children,
  };
}

function parentPath(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function refused(path: string, why: string): ThawError {
  return new ThawError('INVALID_IMAGE', `the entry ${JSON.stringify(path)} of a layer ${why}`);
}
