import { ThawError } from '@thaw/protocol/thaw-error.ts';

/**
 * The records of a PAX header, `<length> <key>=<value>\n` each. Values stay bytes: extended attributes such as
 * `security.capability` are binary, and reading them as text would damage them. An empty value takes a key back.
 */
export function parsePaxRecords(block: Buffer): Map<string, Buffer> {
  const records = new Map<string, Buffer>();
  let at = 0;
  while (at < block.length) {
    const space = block.indexOf(0x20, at);
    const digits = space < 0 ? '' : block.toString('latin1', at, space);
    if (!/^[1-9][0-9]{0,8}$/u.test(digits)) throw malformed();
    const end = at + Number(digits);
    const equals = block.indexOf(0x3d, space);
    if (end > block.length || block[end - 1] !== 0x0a || equals < 0 || equals >= end) throw malformed();
    records.set(block.toString('utf8', space + 1, equals), block.subarray(equals + 1, end - 1));
    at = end;
  }
  return records;
}

/** A PAX time, decimal seconds with any number of digits behind the point, in nanoseconds. */
export function paxTimeNs(value: Buffer): bigint {
  const match = /^(-?)([0-9]{1,12})(?:\.([0-9]*))?$/u.exec(value.toString('latin1'));
  if (match === null) throw malformed();
  const [, sign, seconds = '0', fraction = ''] = match;
  const ns = BigInt(seconds) * 1_000_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, '0'));
  return sign === '-' ? -ns : ns;
}

export function paxNumber(value: Buffer): number {
  const digits = value.toString('latin1');
  if (!/^[0-9]{1,16}$/u.test(digits) || !Number.isSafeInteger(Number(digits))) throw malformed();
  return Number(digits);
}

function malformed(): ThawError {
  return new ThawError('INVALID_IMAGE', 'a layer holds a malformed PAX header');
}
