import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { constants, gzipSync, zstdCompressSync } from 'node:zlib';
import { afterTest } from '@thaw/testkit/after-test.ts';
import { sampleBlob, sha256 } from './sample-blobs.ts';
import { Unpackers, unpackHere, type UnpackHow } from './unpackers.ts';

const blob = sampleBlob(40, (index) => 1 + index * 300);
const chunks = blob.chunks.map(({ digest, size, blobOffset, blobLength }) => ({
  digest,
  size,
  at: blobOffset,
  length: blobLength,
  offset: -1,
}));

/** In memory alone. */
const use = (urgency: UnpackHow['urgency']): UnpackHow => ({ urgency, isWanted: true, descriptor: -1 });

test('threads unpack what a caller would, and say of each chunk whether it is right', async (t) => {
  const unpackers = new Unpackers({ collectsBuffers: true });
  afterTest(t, () => unpackers.close());
  const wrong = chunks.map((chunk, index) =>
    index === 3
      ? { ...chunk, digest: chunk.digest.replace(/^./u, (first) => (first === '0' ? '1' : '0')) }
      : chunk,
  );
  const here = await unpackHere(new Uint8Array(blob.bytes), wrong, use('demand'));
  const there = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      unpackers.unpack(new Uint8Array(blob.bytes), wrong, use(index % 2 === 0 ? 'demand' : 'prefetch')),
    ),
  );
  assert.deepEqual(
    here.isRight,
    chunks.map((_, index) => index !== 3),
  );
  for (const each of there) assert.deepEqual(each, here);
});

test('a bomb is stopped at the size of its chunk, and what is packed in no known way is wrong', async (t) => {
  const unpackers = new Unpackers({ collectsBuffers: false });
  afterTest(t, () => unpackers.close());
  const zeros = Buffer.alloc(64 * 1024 * 1024);
  // The right bytes, for a reader that sets 32 MiB aside (RFC 8878, section 3.1.1.1.2).
  const wide = zstdCompressSync(noise(100_000), { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } });
  wide.writeUInt8((25 - 10) << 3, 5);
  const members = [gzipSync(zeros), zstdCompressSync(zeros), Buffer.from('no gzip at all'), wide];
  const places = placesOf(members).map((place) =>
    place.length === wide.length
      ? { ...place, digest: sha256(noise(100_000)), size: 100_000 }
      : { ...place, digest: '0'.repeat(64), size: 10 },
  );
  const packed = new Uint8Array(Buffer.concat(members));
  const { plain, isRight } = await unpackers.unpack(packed, places, use('demand'));
  assert.deepEqual([plain?.byteLength, isRight], [100_030, [false, false, false, false]]);
});

test('members of other writers are unpacked: with a name, followed by others, or cut in two', async () => {
  const plain = Buffer.from('some text, again and again. '.repeat(1000));
  const digest = sha256(plain);
  const named = gzipSync(plain);
  const header = Buffer.concat([named.subarray(0, 10), Buffer.from('name\0')]);
  header.writeUInt8(8, 3);
  const followed = Buffer.concat([named, gzipSync(Buffer.alloc(5000))]);
  const halves = Buffer.concat([gzipSync(plain.subarray(0, 9000)), gzipSync(plain.subarray(9000))]);
  const torn = named.subarray(0, named.length / 2);
  const frame = zstdCompressSync(plain);
  const members = [
    Buffer.concat([header, named.subarray(10)]),
    followed,
    halves,
    torn,
    frame,
    Buffer.concat([frame, zstdCompressSync(Buffer.alloc(5000))]),
    Buffer.concat([zstdCompressSync(plain.subarray(0, 9000)), zstdCompressSync(plain.subarray(9000))]),
    frame.subarray(0, -1),
  ];
  const places = placesOf(members).map((place) => ({ ...place, digest, size: plain.length }));
  const { isRight } = await unpackHere(new Uint8Array(Buffer.concat(members)), places, use('demand'));
  assert.deepEqual(isRight, [true, true, true, false, true, true, true, false]);
});

/** Behind each other, and written nowhere. */
function placesOf(members: readonly Buffer[]): { at: number; length: number; offset: number }[] {
  let at = 0;
  return members.map(({ length }) => {
    const place = { at, length, offset: -1 };
    at += length;
    return place;
  });
}

function noise(length: number): Buffer {
  return createHash('shake256', { outputLength: length }).update('noise').digest();
}

test('whoever waits for threads that end is told', async () => {
  const unpackers = new Unpackers({ collectsBuffers: true });
  const waiting = Array.from({ length: 50 }, () =>
    unpackers.unpack(new Uint8Array(blob.bytes), chunks, use('prefetch')),
  );
  const settled = Promise.allSettled(waiting);
  await unpackers.close();
  for (const each of await settled)
    assert.ok(each.status === 'fulfilled' || /ended/u.test(String(each.reason)));
  await assert.rejects(unpackers.unpack(new Uint8Array(blob.bytes), chunks, use('demand')), /ended/u);
});
