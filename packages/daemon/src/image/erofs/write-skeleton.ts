import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { planDirectory, writeDirectory, type DirectoryPlan } from './directory-blocks.ts';
import {
  alignTo,
  BLOCK,
  encodeXattrs,
  FILE_TYPES,
  FLAT_INLINE,
  FLAT_PLAIN,
  INODE_BYTES,
  INODE_SLOT,
  MODE_TYPES,
  SUPER_BYTES,
  SUPER_OFFSET,
  writeInode,
  writeSuper,
} from './erofs-format.ts';
import type { DirectoryNode, ImageNode } from './image-tree.ts';

const BLOCKS_MAX = 2 ** 32 - 1;
const METADATA_BYTES_MAX = 2 ** 31;

/** A chunk of a file and where the file system that is mounted has it, in bytes from the image's start. */
export interface PlacedChunk {
  readonly at: number;
  readonly size: number;
  readonly digest: string;
  readonly layer: number;
  readonly blobOffset: number;
  readonly blobLength: number;
}

export interface Skeleton {
  /** All of the file system but the files' bytes, which follow as a region of `size - bytes.length`. */
  readonly bytes: Buffer;
  /** Of the whole image, a multiple of the block. */
  readonly size: number;
  /** Ascending, without overlap. What lies between them is zeros. */
  readonly chunks: readonly PlacedChunk[];
  readonly inodes: number;
}

interface Planned {
  readonly node: ImageNode;
  readonly number: number;
  readonly xattrs: Buffer;
  readonly parent: Planned | undefined;
  readonly directory: DirectoryPlan | undefined;
  /** What stands in the skeleton itself: a directory's entries or a link's target. */
  readonly bodyBytes: number;
  links: number;
  place: number;
  layout: typeof FLAT_PLAIN | typeof FLAT_INLINE;
  block: number;
}

/**
 * An EROFS file system for a merged image, without the bytes of its files: those stand in a region behind it that
 * nothing fills, and whoever serves the image knows by `chunks` what belongs where. `toHost` moves owners to the ids that
 * they have on this host.
 */
export function writeSkeleton(root: DirectoryNode, toHost: (id: number) => number): Skeleton {
  const inodes = plan(root);
  const inodesEnd = placeInodes([...inodes.values()]);
  const metadataEnd = placeBlocks([...inodes.values()], alignTo(inodesEnd, BLOCK));
  if (metadataEnd > METADATA_BYTES_MAX) throw tooLarge();
  const { chunks, size } = placeFiles([...inodes.values()], metadataEnd);
  const bytes = Buffer.alloc(metadataEnd);
  const rootInode = inodes.get(root);
  assert(rootInode !== undefined);
  for (const inode of inodes.values()) writePlanned(bytes, inode, inodes, toHost);
  writeSuper(bytes, {
    rootNid: rootInode.place / INODE_SLOT,
    inodes: inodes.size,
    blocks: size / BLOCK,
    uuid: createHash('sha256').update(bytes).digest(),
  });
  return { bytes, size, chunks, inodes: inodes.size };
}

/** Every inode once, the root first: its number has 16 bits only. Names of one file share theirs. */
function plan(root: DirectoryNode): Map<ImageNode, Planned> {
  const inodes = new Map<ImageNode, Planned>();
  const waiting: { readonly node: ImageNode; readonly parent: Planned | undefined }[] = [
    { node: root, parent: undefined },
  ];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { node, parent } = next;
    const known = inodes.get(node);
    if (known !== undefined) {
      known.links += 1;
      continue;
    }
    const planned = planNode(node, parent, inodes.size + 1);
    inodes.set(node, planned);
    if (node.kind !== 'directory') continue;
    if (parent !== undefined) parent.links += 1;
    for (const child of [...node.children.values()].toReversed())
      waiting.push({ node: child, parent: planned });
  }
  return inodes;
}

function planNode(node: ImageNode, parent: Planned | undefined, number: number): Planned {
  const directory = node.kind === 'directory' ? planDirectory(directoryEntries(node)) : undefined;
  const bodyBytes = node.kind === 'symlink' ? Buffer.byteLength(node.target) : (directory?.size ?? 0);
  return {
    node,
    number,
    xattrs: encodeXattrs(node.xattrs),
    parent,
    directory,
    bodyBytes,
    links: node.kind === 'directory' ? 2 : 1,
    place: 0,
    layout: FLAT_PLAIN,
    block: 0,
  };
}

function directoryEntries(node: DirectoryNode): { name: Buffer; type: number }[] {
  const dots = ['.', '..'].map((name) => ({ name: Buffer.from(name), type: FILE_TYPES.directory }));
  const children = [...node.children].map(([name, child]) => ({
    name: Buffer.from(name),
    type: FILE_TYPES[child.kind],
  }));
  return [...dots, ...children];
}

/** What does not fill a block stands behind its inode where both fit into one block: one read gives both. */
function placeInodes(inodes: readonly Planned[]): number {
  let end = SUPER_OFFSET + SUPER_BYTES;
  for (const inode of inodes) {
    const head = INODE_BYTES + inode.xattrs.length;
    const tail = inode.bodyBytes % BLOCK;
    const isInline = tail > 0 && (head % BLOCK) + tail <= BLOCK;
    inode.layout = isInline ? FLAT_INLINE : FLAT_PLAIN;
    inode.place = alignTo(end, INODE_SLOT);
    if (isInline) {
      const tailAt = inode.place + head;
      const fits = Math.floor(tailAt / BLOCK) === Math.floor((tailAt + tail - 1) / BLOCK);
      if (!fits) inode.place = alignTo(inode.place, BLOCK);
    }
    end = inode.place + head + (isInline ? tail : 0);
  }
  return end;
}

/** Whole blocks of directories and long links, behind all inodes. */
function placeBlocks(inodes: readonly Planned[], start: number): number {
  let end = start;
  for (const inode of inodes) {
    const blocks =
      inode.layout === FLAT_INLINE ? Math.floor(inode.bodyBytes / BLOCK) : Math.ceil(inode.bodyBytes / BLOCK);
    if (blocks === 0) continue;
    inode.block = end / BLOCK;
    end += blocks * BLOCK;
  }
  return end;
}

function placeFiles(inodes: readonly Planned[], start: number): { chunks: PlacedChunk[]; size: number } {
  const chunks: PlacedChunk[] = [];
  let end = start;
  for (const inode of inodes) {
    const { node } = inode;
    if (node.kind !== 'file' || node.size === 0) continue;
    inode.block = end / BLOCK;
    for (const { fileOffset, size, digest, blobOffset, blobLength } of node.chunks)
      chunks.push({ at: end + fileOffset, size, digest, layer: node.chunkLayer, blobOffset, blobLength });
    end += alignTo(node.size, BLOCK);
    if (end / BLOCK > BLOCKS_MAX) throw tooLarge();
  }
  return { chunks, size: end };
}

function writePlanned(
  bytes: Buffer,
  inode: Planned,
  inodes: ReadonlyMap<ImageNode, Planned>,
  toHost: (id: number) => number,
): void {
  const { node, place, layout, xattrs, block, directory } = inode;
  writeInode(bytes, place, {
    layout,
    xattrBytes: xattrs.length,
    mode: MODE_TYPES[node.kind] | (node.kind === 'symlink' ? 0o777 : node.mode),
    size: node.kind === 'file' ? node.size : inode.bodyBytes,
    block,
    number: inode.number,
    uid: toHost(node.uid),
    gid: toHost(node.gid),
    mtimeNs: node.mtimeNs,
    links: inode.links,
  });
  xattrs.copy(bytes, place + INODE_BYTES);
  const inlineAt = place + INODE_BYTES + xattrs.length;
  const wholeBlocks = Math.floor(inode.bodyBytes / BLOCK);
  const placeOf = (index: number): number =>
    layout === FLAT_INLINE && index === wholeBlocks ? inlineAt : (block + index) * BLOCK;
  if (node.kind === 'symlink') bytes.write(node.target, placeOf(0));
  if (directory === undefined || node.kind !== 'directory') return;
  writeDirectory(bytes, directory, placeOf, (index) => {
    const name = directory.entries[index]?.name.toString() ?? '';
    const target =
      name === '.' ? inode : name === '..' ? (inode.parent ?? inode) : inodes.get(childOf(node, name));
    assert(target !== undefined);
    return target.place / INODE_SLOT;
  });
}

function childOf(node: DirectoryNode, name: string): ImageNode {
  const child = node.children.get(name);
  assert(child !== undefined);
  return child;
}

function tooLarge(): ThawError {
  return new ThawError('IMAGE_TOO_LARGE', 'the merged image is larger than one file system can be');
}
