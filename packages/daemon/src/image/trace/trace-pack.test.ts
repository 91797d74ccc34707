import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { temporaryDirectory } from '@thaw/testkit/platform.ts';
import * as fc from 'fast-check';
import { framePartsOf, newServedPack } from '../fuse/served-image.ts';
import { unpackChunks } from '../tiers/unpack-chunks.ts';
import { BLOCK_BYTES, decodeIndex, encodeIndex, planFrames, type PackIndex } from './trace-pack.ts';
import { writePack } from './write-pack.ts';

const LAYOUT = 'c'.repeat(64);
const FRAME_BYTES = 1024 * 1024;

async function fileWith(t: TestContext, bytes: Buffer): Promise<string> {
  const path = join(await temporaryDirectory(t), 'file');
  const file = await open(path, 'w');
  await file.writeFile(bytes);
  await file.close();
  return path;
}

/** The frames of a pack by themselves, as a registry gives them: each compared with its digest. */
function framesOf(blob: Buffer, frames: PackIndex['frames']): Buffer[] {
  return frames.map(({ digest, size, blobOffset, blobLength }) => {
    const place = { digest, size, at: blobOffset, length: blobLength, offset: -1 };
    const { plain, isRight } = unpackChunks(blob, [place], { isWanted: true, descriptor: -1 });
    assert.deepEqual(isRight, [true]);
    return Buffer.from(plain ?? new ArrayBuffer());
  });
}

test('a pack holds the blocks that were read, and tells where they are', async (t) => {
  // The last block is a short one.
  const image = randomBytes(300 * BLOCK_BYTES + 1000);
  const blocks = Uint32Array.from([300, 7, 8, 3, ...Array.from({ length: 120 }, (_, at) => 290 - 2 * at)]);
  const source = await open(await fileWith(t, image), 'r');
  const path = await fileWith(t, Buffer.alloc(0));
  const target = await open(path, 'r+');
  const pack = await writePack({ image: source, imageBytes: image.length, layout: LAYOUT, blocks }, target);
  await Promise.all([source.close(), target.close()]);
  const blob = await readFile(path);
  assert.equal(pack.size, blob.length);
  assert.equal(pack.imageBytes, 123 * BLOCK_BYTES + 1000);
  const index = decodeIndex(pack.index, LAYOUT);
  const frames = framesOf(blob, index.frames);
  const served = newServedPack(index);
  const read = (offset: number, length: number): Buffer | undefined => {
    const parts = framePartsOf(served, offset, length);
    if (parts === undefined) return undefined;
    const bytes = Buffer.alloc(length);
    for (const { frame, from, to, length: part } of parts) frames[frame]?.copy(bytes, to, from, from + part);
    return bytes;
  };
  const held = new Set(blocks);
  fc.assert(
    fc.property(fc.nat(image.length - 1), fc.integer({ min: 1, max: 5 * BLOCK_BYTES }), (offset, most) => {
      const length = Math.min(most, image.length - offset);
      const first = Math.floor(offset / BLOCK_BYTES);
      const last = Math.floor((offset + length - 1) / BLOCK_BYTES);
      const isHeld = Array.from({ length: last - first + 1 }, (_, at) => first + at).every((each) =>
        held.has(each),
      );
      assert.deepEqual(read(offset, length), isHeld ? image.subarray(offset, offset + length) : undefined);
    }),
    { numRuns: 500 },
  );
});

test('each block is in one frame, what is read first before what is read later', () => {
  const orders = fc.uniqueArray(fc.nat(5_000), { maxLength: 1_500, size: 'max' });
  fc.assert(
    fc.property(orders, (order) => {
      const blocks = Uint32Array.from(order);
      const imageBytes = 5_001 * BLOCK_BYTES - 1;
      const frames = planFrames(blocks, imageBytes);
      const placed: number[] = [];
      for (const ranges of frames) {
        assert.ok(ranges.reduce((sum, { size }) => sum + size, 0) <= FRAME_BYTES);
        for (const { place, size } of ranges) {
          assert.ok(place + size <= imageBytes);
          for (let at = place; at < place + size; at += BLOCK_BYTES) placed.push(at / BLOCK_BYTES);
        }
      }
      assert.equal(placed.length, order.length);
      // Within a window, in the order of their places: 8 blocks, then 16 and so on, at last 256.
      const windowOf = (turn: number): number =>
        turn < 504 ? Math.floor(Math.log2(turn / 8 + 1)) : 6 + Math.floor((turn - 504) / 256);
      const turns = new Map(order.map((block, turn) => [block, turn]));
      for (const [at, block] of placed.entries())
        assert.equal(windowOf(at), windowOf(turns.get(block) ?? -1));
    }),
    { numRuns: 20 },
  );
});

test("an index that is none, or is another image's, is refused", () => {
  const frame = { digest: 'a'.repeat(64), size: 100, blobOffset: 0, blobLength: 50 };
  const piece = { place: 0, size: 40, frame: 0, from: 0 };
  const index: PackIndex = { layout: LAYOUT, frames: [frame], pieces: [piece] };
  assert.deepEqual(decodeIndex(encodeIndex(index), LAYOUT), index);
  const pieces = (...more: Partial<typeof piece>[]): Buffer =>
    encodeIndex({ ...index, pieces: [piece, ...more.map((each) => ({ ...piece, ...each }))] });
  const wrong: [Buffer, RegExp][] = [
    [Buffer.from('{}'), /is none/u],
    [zstdCompressSync('{'), /is none/u],
    [zstdCompressSync('{"layout": 1}'), /is none/u],
    [zstdCompressSync(Buffer.alloc(17 * FRAME_BYTES)), /is none/u],
    [encodeIndex({ ...index, layout: 'd'.repeat(64) }), /laid out otherwise/u],
    [encodeIndex({ ...index, frames: [{ ...frame, size: FRAME_BYTES + 1 }] }), /is none/u],
    [pieces({ place: 39 }), /not in their order/u],
    [pieces({ place: 40, from: 61 }), /outside of their frames/u],
    [pieces({ place: 40, frame: 1 }), /outside of their frames/u],
  ];
  for (const [bytes, why] of wrong)
    assert.throws(
      () => decodeIndex(bytes, LAYOUT),
      (error: unknown) =>
        error instanceof ThawError && error.code === 'IMAGE_CORRUPT' && why.test(error.message),
    );
});
