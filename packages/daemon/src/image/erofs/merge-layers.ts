import assert from 'node:assert/strict';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { LayerEntry } from '../estargz/layer-entry.ts';
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
  const parent = findDirectory(root, parentPath(path));
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
  let directory = root;
  let trail = '';
  for (const name of segments(parentPath(entry.path))) {
    trail = trail === '' ? name : `${trail}/${name}`;
    const child: ImageNode | undefined = directory.children.get(name);
    const below = child?.kind === 'symlink' ? resolve(root, trail) : child;
    if (below === undefined && child === undefined) {
      const made = newDirectory(entry.mtimeNs, layer);
      directory.children.set(name, made);
      directory = made;
    } else if (below?.kind === 'directory') {
      directory = below;
    } else if (child?.kind === 'symlink') {
      throw refused(entry.path, 'leads through a symbolic link to no directory');
    } else {
      // A file of a lower layer gives way to the directory that this layer means.
      const made = newDirectory(entry.mtimeNs, layer);
      directory.children.set(name, made);
      directory = made;
    }
  }
  return directory;
}

function findDirectory(root: DirectoryNode, path: string): DirectoryNode | undefined {
  const found = path === '' ? root : resolve(root, path);
  return found?.kind === 'directory' ? found : undefined;
}

/** Follows links on the way, not the last one. */
function findNode(root: DirectoryNode, path: string): ImageNode | undefined {
  return findDirectory(root, parentPath(path))?.children.get(baseName(path));
}

/**
 * Follows relative links that stay inside the image: `lib -> usr/lib` is how distributions are built. A link that is
 * absolute or climbs above the root means another file at unpacking than in a running container; an entry that leads
 * through one is refused.
 */
function resolve(root: DirectoryNode, path: string): ImageNode | undefined {
  let waiting = segments(path);
  let trail: { readonly name: string; readonly node: ImageNode }[] = [];
  for (let followed = 0; waiting.length > 0;) {
    const [name, ...rest] = waiting;
    assert(name !== undefined);
    waiting = rest;
    if (name === '..') {
      if (trail.length === 0) throw refused(path, 'leads through a symbolic link out of the image');
      trail = trail.slice(0, -1);
      continue;
    }
    const here: ImageNode = trail.at(-1)?.node ?? root;
    const child = here.kind === 'directory' ? here.children.get(name) : undefined;
    if (child === undefined) return undefined;
    if (child.kind === 'symlink') {
      followed += 1;
      if (child.target.startsWith('/')) throw refused(path, 'leads through an absolute symbolic link');
      if (followed > LINKS_FOLLOWED_MAX) throw refused(path, 'leads through too many symbolic links');
      waiting = [...segments(child.target), ...waiting];
      continue;
    }
    trail = [...trail, { name, node: child }];
  }
  return trail.at(-1)?.node ?? root;
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

function segments(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
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
