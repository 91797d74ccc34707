import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChunkTable } from '../chunks/chunk-table.ts';
import { blobOrderOf, ReadAhead } from './read-ahead.ts';

const DIGEST = '0'.repeat(64);
const KILOBYTE = 1024;

interface Rig {
  /** Somebody comes to a chunk that is not here; what was fetched with it. */
  readonly miss: (chunk: number) => readonly number[];
  readonly read: (chunk: number) => void;
  readonly here: Set<number>;
}

/** One blob for each list of packed sizes; the chunks lie behind each other, and in the image the last blob comes first. */
function rig(...layers: readonly (readonly number[])[]): Rig {
  let place = 0;
  const chunks = layers
    .map((sizes, layer) => {
      let blobOffset = 0;
      return sizes.map((blobLength) => {
        const chunk = { layer, blobOffset, blobLength, size: blobLength, digest: DIGEST };
        blobOffset += blobLength;
        return chunk;
      });
    })
    .toReversed()
    .flat()
    .map((chunk) => {
      const at = place;
      place += chunk.size;
      return { ...chunk, at };
    });
  const table = ChunkTable.of(chunks, { imageBytes: place, skeletonBytes: 0 });
  const touched = new Set<number>();
  const here = new Set<number>();
  const ahead = new ReadAhead({
    table,
    order: blobOrderOf(table),
    wasRead: (chunk) => touched.has(chunk),
    isHere: (chunk) => here.has(chunk),
  });
  const read = (chunk: number): void => void touched.add(chunk);
  const miss = (chunk: number): readonly number[] => {
    read(chunk);
    const behind = ahead.behind(chunk);
    for (const each of [chunk, ...behind]) here.add(each);
    return behind;
  };
  return { miss, read, here };
}

test('small neighbours come with a chunk, and what is here already ends them', () => {
  const { miss, here } = rig(Array.from({ length: 100 }, () => 10 * KILOBYTE));
  assert.deepEqual(miss(5), [6, 7, 8]);
  here.add(12);
  assert.deepEqual(miss(10), [11]);
  assert.deepEqual(miss(99), []);
});

test('what is read one after the other is fetched in ever larger parts', () => {
  const { miss, read } = rig(Array.from({ length: 400 }, () => 20 * KILOBYTE));
  const parts: number[] = [];
  for (let chunk = 0; chunk < 300;) {
    const behind = miss(chunk);
    parts.push(behind.length);
    for (const each of behind) read(each);
    chunk += behind.length + 1;
  }
  // The fourth is cut short by what may be unread at once, which is little at the beginning.
  assert.deepEqual(parts.slice(0, 4), [1, 2, 5, 7]);
  assert.ok(Math.max(...parts) <= 25);
  assert.ok(parts.length < 40);
});

test('guesses that are wrong come to an end', () => {
  const count = 10_000;
  const { miss, here } = rig(Array.from({ length: count }, () => 8 * KILOBYTE));
  let fetched = 0;
  let read = 0;
  for (let chunk = 0; chunk < count; chunk += 10) {
    read += 1;
    fetched += 1 + miss(chunk).length;
  }
  assert.ok(here.size === fetched);
  assert.ok(fetched * 8 <= read * 8 * 1.06 + 128, `${fetched} chunks for ${read}`);
});

test('neighbours are those of the blob, whatever the order of the image', () => {
  const { miss } = rig([KILOBYTE, KILOBYTE], [KILOBYTE, KILOBYTE, KILOBYTE]);
  // The second blob's chunks are the image's first ones.
  assert.deepEqual(miss(3), [4]);
  assert.deepEqual(miss(0), [1, 2]);
});

test('chunks between which much lies that nobody wants are no neighbours', () => {
  const table = ChunkTable.of(
    [0, 10, 27 * KILOBYTE].map((blobOffset, at) => ({
      layer: 0,
      blobOffset,
      blobLength: 10,
      size: 10,
      digest: DIGEST,
      at: at * 10,
    })),
    { imageBytes: 30, skeletonBytes: 0 },
  );
  const never = (): boolean => false;
  const ahead = new ReadAhead({ table, order: blobOrderOf(table), wasRead: never, isHere: never });
  assert.deepEqual(ahead.behind(0), [1]);
});
