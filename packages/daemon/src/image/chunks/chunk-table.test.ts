import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import * as fc from 'fast-check';
import { ChunkTable } from './chunk-table.ts';

test('a table tells which chunk holds a byte, also from shared memory and from a file', () => {
  const pieces = fc.array(fc.record({ gap: fc.nat(3), size: fc.integer({ min: 1, max: 9 }) }), {
    maxLength: 40,
  });
  fc.assert(
    fc.property(pieces, (given) => {
      let at = 10;
      const chunks = given.map(({ gap, size }, index) => {
        const place = at + gap;
        at = place + size;
        const digest = randomBytes(32).toString('hex');
        return { at: place, size, digest, layer: index % 3, blobOffset: index * 2 ** 33, blobLength: size };
      });
      const table = ChunkTable.of(chunks, { imageBytes: at, skeletonBytes: 10 });
      for (const each of [
        table,
        table.shared(),
        new ChunkTable(new Uint8Array(new Uint8Array(table.memory)).buffer),
      ]) {
        for (let position = 0; position <= at; position += 1) {
          const expected = chunks.findIndex((chunk) => chunk.at + chunk.size > position);
          assert.equal(each.firstEndingAfter(position), expected === -1 ? chunks.length : expected);
        }
        for (const [index, { digest, size, layer, blobOffset, blobLength }] of chunks.entries()) {
          const blob = `blob-${layer}`;
          const ref = each.ref(index, ['blob-0', 'blob-1', 'blob-2']);
          assert.deepEqual(ref, { digest, size, blob, blobOffset, blobLength });
        }
      }
    }),
  );
});

test('the layout is what is where, wherever it comes from', () => {
  const chunk = { at: 10, size: 5, digest: 'a'.repeat(64), layer: 0, blobOffset: 0, blobLength: 5 };
  const layoutOf = (change: Partial<typeof chunk>): string =>
    ChunkTable.of([{ ...chunk, ...change }], { imageBytes: 20, skeletonBytes: 10 }).layoutDigest();
  assert.equal(layoutOf({ layer: 1, blobOffset: 7, blobLength: 6 }), layoutOf({}));
  const changes = [{ at: 11 }, { size: 6 }, { digest: 'b'.repeat(64) }];
  assert.equal(new Set([{}, ...changes].map(layoutOf)).size, 4);
});

test('what is no table is refused', () => {
  const table = ChunkTable.of([], { imageBytes: 0, skeletonBytes: 0 });
  const bytes = new Uint8Array(table.memory);
  const longer = new Uint8Array(bytes.length + 8);
  longer.set(bytes);
  for (const memory of [new ArrayBuffer(0), new ArrayBuffer(100), longer.buffer]) {
    assert.throws(
      () => new ChunkTable(memory),
      (error: unknown) => error instanceof ThawError && error.code === 'STORE_FAILED',
    );
  }
});
