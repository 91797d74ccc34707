/**
 * The protocol of /dev/fuse, as `include/uapi/linux/fuse.h` of the kernel has it (7.40), as far as a flat directory of
 * read-only files needs it. Integers are in the machine's order, which is little endian wherever Node runs.
 */
export const OPCODE = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  open: 14,
  read: 15,
  statfs: 17,
  release: 18,
  flush: 25,
  init: 26,
  opendir: 27,
  readdir: 28,
  releasedir: 29,
  access: 34,
  interrupt: 36,
  destroy: 38,
  batchForget: 42,
} as const;

export const ERRNO = { noEntry: -2, io: -5, noSystemCall: -38 } as const;

export const IN_HEADER_BYTES = 40;
export const OUT_HEADER_BYTES = 16;
export const ROOT_ID = 1;
/** The largest read that the kernel asks for; told at INIT and at the mount. */
export const READ_BYTES_MAX = 1024 * 1024;
const PAGES_MAX = 256;
/** Nothing ever changes, so that what the kernel knows it knows for good. */
const FOREVER_S = 365n * 24n * 60n * 60n;

export interface FuseRequest {
  readonly opcode: number;
  readonly unique: bigint;
  readonly node: number;
  readonly body: Buffer;
}

export function parseRequest(bytes: Buffer): FuseRequest {
  return {
    opcode: bytes.readUInt32LE(4),
    unique: bytes.readBigUInt64LE(8),
    node: Number(bytes.readBigUInt64LE(16)),
    body: bytes.subarray(IN_HEADER_BYTES, bytes.readUInt32LE(0)),
  };
}

export function writeOutHeader(target: Buffer, unique: bigint, error: number, bodyBytes: number): void {
  target.writeUInt32LE(OUT_HEADER_BYTES + bodyBytes, 0);
  target.writeInt32LE(error, 4);
  target.writeBigUInt64LE(unique, 8);
}

export function outHeader(unique: bigint, error: number, bodyBytes: number): Buffer {
  const header = Buffer.alloc(OUT_HEADER_BYTES);
  writeOutHeader(header, unique, error, bodyBytes);
  return header;
}

const ASYNC_READ = 1;
const ASYNC_DIRECT_IO = 1 << 15;
const PARALLEL_DIROPS = 1 << 18;
const MAX_PAGES = 1 << 22;
const INIT_EXT = 1 << 30;
const OFFERED = ASYNC_READ | ASYNC_DIRECT_IO | PARALLEL_DIROPS | MAX_PAGES | INIT_EXT;
/** Bit 39, in the upper word: the kernel sends again what a server that died had taken. */
const HAS_RESEND_UPPER = 1 << 7;
const WRITE_BYTES_MAX = 4096;
const BACKGROUND_MAX = 64;
const CONGESTION = 48;

/** The answer to INIT: of what the kernel offers, what is of use here. */
export function initAnswer(body: Buffer): Buffer {
  const [minor, readahead, flags] = [body.readUInt32LE(4), body.readUInt32LE(8), body.readUInt32LE(12)];
  const upper = body.length >= 20 ? body.readUInt32LE(16) : 0;
  const answer = Buffer.alloc(64);
  answer.writeUInt32LE(7, 0);
  answer.writeUInt32LE(Math.min(minor, 40), 4);
  answer.writeUInt32LE(readahead, 8);
  answer.writeUInt32LE((flags & OFFERED) >>> 0, 12);
  answer.writeUInt16LE(BACKGROUND_MAX, 16);
  answer.writeUInt16LE(CONGESTION, 18);
  answer.writeUInt32LE(WRITE_BYTES_MAX, 20);
  answer.writeUInt32LE(1, 24);
  answer.writeUInt16LE(PAGES_MAX, 28);
  answer.writeUInt32LE((upper & HAS_RESEND_UPPER) >>> 0, 32);
  return answer;
}

export interface FileAttributes {
  readonly node: number;
  readonly size: number;
  readonly isDirectory: boolean;
}

export function entryAnswer(file: FileAttributes): Buffer {
  const answer = Buffer.alloc(40 + ATTRIBUTE_BYTES);
  answer.writeBigUInt64LE(BigInt(file.node), 0);
  answer.writeBigUInt64LE(FOREVER_S, 16);
  answer.writeBigUInt64LE(FOREVER_S, 24);
  writeAttributes(answer, 40, file);
  return answer;
}

export function attributeAnswer(file: FileAttributes): Buffer {
  const answer = Buffer.alloc(16 + ATTRIBUTE_BYTES);
  answer.writeBigUInt64LE(FOREVER_S, 0);
  writeAttributes(answer, 16, file);
  return answer;
}

const ATTRIBUTE_BYTES = 88;

function writeAttributes(target: Buffer, at: number, { node, size, isDirectory }: FileAttributes): void {
  target.writeBigUInt64LE(BigInt(node), at);
  target.writeBigUInt64LE(BigInt(size), at + 8);
  target.writeBigUInt64LE(BigInt(Math.ceil(size / 512)), at + 16);
  target.writeUInt32LE(isDirectory ? 0o040500 : 0o100400, at + 60);
  target.writeUInt32LE(isDirectory ? 2 : 1, at + 64);
  target.writeUInt32LE(4096, at + 80);
}

/** Reads go past the page cache of the file: the file system above has one of its own. */
const DIRECT_IO = 1;

export function openAnswer(): Buffer {
  const answer = Buffer.alloc(16);
  answer.writeUInt32LE(DIRECT_IO, 8);
  return answer;
}

export function statfsAnswer(): Buffer {
  const answer = Buffer.alloc(80);
  answer.writeUInt32LE(4096, 40);
  answer.writeUInt32LE(255, 44);
  answer.writeUInt32LE(4096, 48);
  return answer;
}

export function readRange(body: Buffer): { readonly offset: number; readonly size: number } {
  return { offset: Number(body.readBigUInt64LE(8)), size: body.readUInt32LE(16) };
}

export function lookupName(body: Buffer): string {
  const end = body.indexOf(0);
  return body.toString('utf8', 0, end < 0 ? body.length : end);
}

const NOTIFY_RESEND = 7;

/** Asks the kernel to send again what was taken and never answered. */
export function resendNotification(): Buffer {
  return outHeader(0n, NOTIFY_RESEND, 0);
}
