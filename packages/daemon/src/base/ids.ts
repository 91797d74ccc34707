import { randomBytes } from 'node:crypto';

/**
 * Request ids in FC's form `1-<unix seconds in hex>-<24 hex digits>`. Random bytes are drawn in blocks: one system
 * call serves 512 ids, since this runs for every request.
 */
const ID_RANDOM_BYTES = 12;
const BLOCK_BYTES = ID_RANDOM_BYTES * 512;
let block = '';
let offset = 0;

function randomHex(digits: number): string {
  if (offset + digits > block.length) {
    block = randomBytes(BLOCK_BYTES).toString('hex');
    offset = 0;
  }
  const text = block.slice(offset, offset + digits);
  offset += digits;
  return text;
}

export function newRequestId(nowMs: number): string {
  return `1-${Math.floor(nowMs / 1000).toString(16)}-${randomHex(ID_RANDOM_BYTES * 2)}`;
}

export function newInstanceId(nowMs: number): string {
  return `c-${Math.floor(nowMs / 1000).toString(16)}-${randomHex(16)}`;
}
