import { ThawError } from '@thaw/protocol/thaw-error.ts';

export const TAR_BLOCK = 512;

/** One header block of a tar, as POSIX.1-2017 ("ustar") and GNU tar write it; names are bytes read as UTF-8. */
export interface TarHeader {
  readonly name: string;
  readonly type: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtimeS: number;
  readonly linkName: string;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
}

/** Undefined for a block of zeros, which ends a tar. Throws INVALID_IMAGE. */
export function parseTarHeader(block: Buffer): TarHeader | undefined {
  if (block.every((byte) => byte === 0)) return undefined;
  if (!isChecksumRight(block))
    throw new ThawError('INVALID_IMAGE', 'a layer holds a tar header with a wrong checksum');
  const isPosix = block.toString('latin1', 257, 263) === 'ustar\0';
  const prefix = isPosix ? text(block, 345, 155) : '';
  const name = text(block, 0, 100);
  const hasDevice = block.toString('latin1', 257, 262) === 'ustar';
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    type: block[156] === 0 ? '0' : String.fromCodePoint(block[156] ?? 0),
    mode: number(block, 100, 8) & 0o7777,
    uid: number(block, 108, 8),
    gid: number(block, 116, 8),
    size: number(block, 124, 12),
    mtimeS: number(block, 136, 12),
    linkName: text(block, 157, 100),
    deviceMajor: hasDevice ? number(block, 329, 8) : 0,
    deviceMinor: hasDevice ? number(block, 337, 8) : 0,
  };
}

/** The sum of all bytes with the checksum's own field read as spaces; some old programs summed signed bytes. */
function isChecksumRight(block: Buffer): boolean {
  let unsigned = 0;
  let signed = 0;
  for (let at = 0; at < TAR_BLOCK; at += 1) {
    const byte = at >= 148 && at < 156 ? 32 : (block[at] ?? 0);
    unsigned += byte;
    signed += byte > 127 ? byte - 256 : byte;
  }
  const written = number(block, 148, 8);
  return written === unsigned || written === signed;
}

function text(block: Buffer, offset: number, length: number): string {
  const field = block.subarray(offset, offset + length);
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end < 0 ? length : end);
}

/** Octal digits, or GNU's base 256 where the first bit is set. */
function number(block: Buffer, offset: number, length: number): number {
  const field = block.subarray(offset, offset + length);
  if (((field[0] ?? 0) & 0x80) !== 0) return base256(field);
  const digits = field.toString('latin1').replaceAll('\0', ' ').trim();
  if (digits === '') return 0;
  if (!/^[0-7]+$/u.test(digits)) throw outOfRange();
  return Number.parseInt(digits, 8);
}

function base256(field: Buffer): number {
  const isNegative = field[0] === 0xff;
  let value = BigInt(isNegative ? -1 : (field[0] ?? 0) & 0x7f);
  for (const byte of field.subarray(1)) value = value * 256n + BigInt(byte);
  if (value > BigInt(Number.MAX_SAFE_INTEGER) || value < -BigInt(Number.MAX_SAFE_INTEGER)) throw outOfRange();
  return Number(value);
}

function outOfRange(): ThawError {
  return new ThawError('INVALID_IMAGE', 'a layer holds a tar header with a number that is none');
}
