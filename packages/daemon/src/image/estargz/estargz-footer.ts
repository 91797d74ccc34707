/**
 * The last 51 bytes of an eStargz blob: an empty gzip member whose extra field ("SG") tells where the member with the
 * table of contents begins.
 */
export const FOOTER_BYTES = 51;
const HEADER = Buffer.from('1f8b08040000000000ff1a0053471600', 'hex');
/** One final stored block of no bytes, its checksum and its length. */
const EMPTY_BODY = Buffer.from('010000ffff0000000000000000', 'hex');
const MARK = 'STARGZ';

export function footer(tocOffset: number): Buffer {
  return Buffer.concat([
    HEADER,
    Buffer.from(tocOffset.toString(16).padStart(16, '0') + MARK, 'latin1'),
    EMPTY_BODY,
  ]);
}

/** Where the table of contents begins, or undefined when these bytes end no eStargz blob. */
export function tocOffsetOf(lastBytes: Buffer): number | undefined {
  if (lastBytes.length !== FOOTER_BYTES) return undefined;
  const text = lastBytes.toString('latin1', 16, 38);
  if (lastBytes.readUInt16BE(0) !== 0x1f8b || lastBytes.toString('latin1', 12, 14) !== 'SG') return undefined;
  const match = /^([0-9a-f]{16})STARGZ$/u.exec(text);
  const offset = match === null ? Number.NaN : Number.parseInt(match[1] ?? '', 16);
  return Number.isSafeInteger(offset) ? offset : undefined;
}
