import { open } from 'node:fs/promises';

/**
 * CRC-64/XZ (ECMA-182 reflected, initial value and final xor all ones) as a decimal number, which is what Function
 * Compute calls the checksum of code; its clients skip an upload when it is equal.
 *
 * A 64-bit value is two 32-bit halves, and eight bytes are taken at a time ("slicing-by-8", Kounavis and Berry 2005):
 * table k holds the effect of a byte that has k further bytes behind it.
 */
const POLYNOMIAL_LOW = 0xd7870f42;
const POLYNOMIAL_HIGH = 0xc96c5795;
const SLICES = 8;
const LOW = new Uint32Array(SLICES * 256);
const HIGH = new Uint32Array(SLICES * 256);

for (let byte = 0; byte < 256; byte += 1) {
  let low = byte;
  let high = 0;
  for (let bit = 0; bit < 8; bit += 1) {
    const carry = low & 1;
    low = ((low >>> 1) | (high << 31)) >>> 0;
    high >>>= 1;
    if (carry === 1) {
      low = (low ^ POLYNOMIAL_LOW) >>> 0;
      high = (high ^ POLYNOMIAL_HIGH) >>> 0;
    }
  }
  LOW[byte] = low;
  HIGH[byte] = high;
}
for (let at = 256; at < SLICES * 256; at += 1) {
  const low = LOW[at - 256] ?? 0;
  const high = HIGH[at - 256] ?? 0;
  LOW[at] = ((low >>> 8) | (high << 24)) ^ (LOW[low & 0xff] ?? 0);
  HIGH[at] = (high >>> 8) ^ (HIGH[low & 0xff] ?? 0);
}

export class CodeChecksum {
  #low = 0xffffffff;
  #high = 0xffffffff;

  update(bytes: Uint8Array): this {
    let low = this.#low | 0;
    let high = this.#high | 0;
    const length = bytes.length;
    const sliced = length - (length % SLICES);
    let at = 0;

    for (; at < sliced; at += SLICES) {
      low ^= word(bytes, at);
      high ^= word(bytes, at + 4);
      const a = 1792 + (low & 0xff);
      const b = 1536 + ((low >>> 8) & 0xff);
      const c = 1280 + ((low >>> 16) & 0xff);
      const d = 1024 + (low >>> 24);
      const e = 768 + (high & 0xff);
      const f = 512 + ((high >>> 8) & 0xff);
      const g = 256 + ((high >>> 16) & 0xff);
      const h = high >>> 24;
      low = entry(LOW, a) ^ entry(LOW, b) ^ entry(LOW, c) ^ entry(LOW, d);
      low ^= entry(LOW, e) ^ entry(LOW, f) ^ entry(LOW, g) ^ entry(LOW, h);
      high = entry(HIGH, a) ^ entry(HIGH, b) ^ entry(HIGH, c) ^ entry(HIGH, d);
      high ^= entry(HIGH, e) ^ entry(HIGH, f) ^ entry(HIGH, g) ^ entry(HIGH, h);
    }
    for (; at < length; at += 1) {
      const index = (low ^ entry(bytes, at)) & 0xff;
      low = ((low >>> 8) | (high << 24)) ^ entry(LOW, index);
      high = (high >>> 8) ^ entry(HIGH, index);
    }
    this.#low = low >>> 0;
    this.#high = high >>> 0;
    return this;
  }

  /** The checksum of everything so far; more may follow. */
  decimal(): string {
    const low = BigInt(~this.#low >>> 0);
    const high = BigInt(~this.#high >>> 0);
    return ((high << 32n) | low).toString();
  }
}

const READ_BYTES = 1024 * 1024;

/** Reads a file piece by piece, so that 100 MB hold up the event loop for a few milliseconds at a time. */
export async function fileChecksum(path: string): Promise<string> {
  const checksum = new CodeChecksum();
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  const handle = await open(path, 'r');
  try {
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, READ_BYTES);
      if (bytesRead === 0) return checksum.decimal();
      checksum.update(buffer.subarray(0, bytesRead));
    }
  } finally {
    await handle.close();
  }
}

function entry(table: Uint32Array | Uint8Array, index: number): number {
  return (table[index] ?? 0) | 0;
}

function word(bytes: Uint8Array, at: number): number {
  return (
    entry(bytes, at) |
    (entry(bytes, at + 1) << 8) |
    (entry(bytes, at + 2) << 16) |
    (entry(bytes, at + 3) << 24)
  );
}
