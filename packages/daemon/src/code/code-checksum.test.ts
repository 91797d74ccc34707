import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { CodeChecksum, fileChecksum } from './code-checksum.ts';

/** The definition, bit by bit. */
function reference(bytes: Uint8Array): string {
  const ones = 0xffffffffffffffffn;
  let crc = ones;
  for (const byte of bytes) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit += 1)
      crc = (crc & 1n) === 1n ? (crc >> 1n) ^ 0xc96c5795d7870f42n : crc >> 1n;
  }
  return (crc ^ ones).toString();
}

describe('the checksum of code', () => {
  it('is that of the published vectors', () => {
    assert.equal(new CodeChecksum().update(Buffer.from('123456789')).decimal(), '11051210869376104954');
    assert.equal(new CodeChecksum().decimal(), '0');
  });

  it('is the definition, whole and in pieces', () => {
    const pieces = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 10 });
    fc.assert(
      fc.property(pieces, (chunks) => {
        const whole = Buffer.concat(chunks);
        const chunked = new CodeChecksum();
        for (const chunk of chunks) chunked.update(chunk);
        assert.equal(new CodeChecksum().update(whole).decimal(), reference(whole));
        assert.equal(chunked.decimal(), reference(whole));
      }),
    );
  });

  it('of a file is that of its bytes', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'thaw-checksum-'));
    try {
      const bytes = Buffer.alloc(2_500_001, 'thaw');
      await writeFile(join(directory, 'file'), bytes);
      assert.equal(await fileChecksum(join(directory, 'file')), new CodeChecksum().update(bytes).decimal());
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
