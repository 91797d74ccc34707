/**
 * The on-disk structures of EROFS that an image needs, as the kernel's `fs/erofs/erofs_fs.h` lays them out: little
 * endian, extended inodes, data either inline behind its inode or in whole blocks.
 */
export const BLOCK = 4096;
const BLOCK_BITS = 12;
export const SUPER_OFFSET = 1024;
export const SUPER_BYTES = 128;
const SUPER_MAGIC = 0xe0f5e1e2;
export const INODE_BYTES = 64;
/** An inode's number is its place in units of so many bytes. */
export const INODE_SLOT = 32;
export const DIRENT_BYTES = 12;

export const FLAT_PLAIN = 0;
export const FLAT_INLINE = 2;
const EXTENDED = 1;

export const FILE_TYPES = { file: 1, directory: 2, fifo: 5, symlink: 7 } as const;
export const MODE_TYPES = { file: 0o100000, directory: 0o040000, fifo: 0o010000, symlink: 0o120000 } as const;

export interface Super {
  readonly rootNid: number;
  readonly inodes: number;
  readonly blocks: number;
  readonly uuid: Buffer;
}

export function writeSuper(image: Buffer, { rootNid, inodes, blocks, uuid }: Super): void {
  const at = SUPER_OFFSET;
  image.writeUInt32LE(SUPER_MAGIC, at);
  image.writeUInt8(BLOCK_BITS, at + 12);
  image.writeUInt16LE(rootNid, at + 14);
  image.writeBigUInt64LE(BigInt(inodes), at + 16);
  image.writeUInt32LE(blocks, at + 36);
  uuid.copy(image, at + 48, 0, 16);
}

export interface Inode {
  readonly layout: typeof FLAT_PLAIN | typeof FLAT_INLINE;
  readonly xattrBytes: number;
  readonly mode: number;
  readonly size: number;
  /** Where the whole blocks of the data begin. */
  readonly block: number;
  readonly number: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  readonly links: number;
}

export function writeInode(image: Buffer, at: number, inode: Inode): void {
  const ns = BigInt.asUintN(64, ((inode.mtimeNs % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n);
  const seconds = (inode.mtimeNs - ns) / 1_000_000_000n;
  image.writeUInt16LE(EXTENDED | (inode.layout << 1), at);
  image.writeUInt16LE(inode.xattrBytes === 0 ? 0 : 1 + (inode.xattrBytes - XATTR_HEADER_BYTES) / 4, at + 2);
  image.writeUInt16LE(inode.mode, at + 4);
  image.writeBigUInt64LE(BigInt(inode.size), at + 8);
  image.writeUInt32LE(inode.block, at + 16);
  image.writeUInt32LE(inode.number, at + 20);
  image.writeUInt32LE(inode.uid, at + 24);
  image.writeUInt32LE(inode.gid, at + 28);
  image.writeBigInt64LE(seconds, at + 32);
  image.writeUInt32LE(Number(ns), at + 40);
  image.writeUInt32LE(inode.links, at + 44);
}

const XATTR_HEADER_BYTES = 12;
const XATTR_BODY_BYTES_MAX = 128 * 1024;
/** By prefix; the rest of the name is stored. A whole name stands for itself. */
const XATTR_INDEXES: readonly (readonly [prefix: string, index: number])[] = [
  ['user.', 1],
  ['system.posix_acl_access', 2],
  ['system.posix_acl_default', 3],
  ['trusted.', 4],
  ['security.', 6],
];
/** By these an overlay file system would take orders from the image. */
const OVERLAY_PREFIXES = ['trusted.overlay.', 'user.overlay.'];

/** Attributes as they follow their inode; empty when there are none. Those that Linux cannot hold are left out. */
export function encodeXattrs(xattrs: ReadonlyMap<string, Buffer>): Buffer {
  const entries: Buffer[] = [];
  for (const [name, value] of xattrs) {
    if (OVERLAY_PREFIXES.some((prefix) => name.startsWith(prefix))) continue;
    const [prefix, index] = XATTR_INDEXES.find(([known]) => name.startsWith(known)) ?? [];
    if (prefix === undefined || index === undefined || value.length > 0xffff) continue;
    const rest = Buffer.from(name.slice(prefix.length));
    if (rest.length > 255) continue;
    const bytes = 4 + rest.length + value.length;
    const entry = Buffer.alloc(alignTo(bytes, 4));
    entry.writeUInt8(rest.length, 0);
    entry.writeUInt8(index, 1);
    entry.writeUInt16LE(value.length, 2);
    rest.copy(entry, 4);
    value.copy(entry, 4 + rest.length);
    entries.push(entry);
  }
  if (entries.length === 0) return Buffer.alloc(0);
  const body = Buffer.concat([Buffer.alloc(XATTR_HEADER_BYTES), ...entries]);
  return body.length > XATTR_BODY_BYTES_MAX ? Buffer.alloc(0) : body;
}

export function alignTo(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
