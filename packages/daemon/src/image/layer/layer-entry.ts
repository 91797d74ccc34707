/** One entry of a layer's tar, whiteouts among them, as the table of contents of a layer has it. */
export interface LayerEntry {
  /** Without `/` at its ends and without `.` and `..`; empty: the root directory. */
  readonly path: string;
  readonly kind: EntryKind;
  /** Permission bits with setuid, setgid and sticky: 12 bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  /** Of regular files. */
  readonly size: number;
  /** Target of a symbolic link as it is written, or the path of the file that a hard link names. */
  readonly linkTarget: string;
  readonly xattrs: ReadonlyMap<string, Buffer>;
  /** Of regular files, in order, without gaps. */
  readonly chunks: readonly LayerChunk[];
}

export type EntryKind = 'file' | 'directory' | 'symlink' | 'hardlink' | 'fifo';

/** A piece of a file: which bytes of it, and which bytes of the layer's blob hold them as one or more members. */
export interface LayerChunk {
  readonly fileOffset: number;
  readonly size: number;
  /** SHA-256 of the plain bytes, in hexadecimal. */
  readonly digest: string;
  readonly blobOffset: number;
  readonly blobLength: number;
}
