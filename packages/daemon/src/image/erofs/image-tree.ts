import type { LayerChunk } from '../layer/layer-entry.ts';

/** The merged image in memory: what a running function sees, with each file's chunks and the layer that has them. */
export type ImageNode = DirectoryNode | FileNode | SymlinkNode | FifoNode;

interface NodeTraits {
  mode: number;
  uid: number;
  gid: number;
  mtimeNs: bigint;
  xattrs: ReadonlyMap<string, Buffer>;
  /** The layer that made it, from 0 up: whiteouts reach only what stands below their own layer. */
  layer: number;
}

export interface DirectoryNode extends NodeTraits {
  readonly kind: 'directory';
  readonly children: Map<string, ImageNode>;
}

export interface FileNode extends NodeTraits {
  readonly kind: 'file';
  readonly size: number;
  readonly chunks: readonly LayerChunk[];
  /** Layer of the chunks; the node's own may be a later one that only links to it. */
  readonly chunkLayer: number;
}

export interface SymlinkNode extends NodeTraits {
  readonly kind: 'symlink';
  readonly target: string;
}

export interface FifoNode extends NodeTraits {
  readonly kind: 'fifo';
}
