import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { afterTest } from '@thaw/testkit/after-test.ts';
import { temporaryDirectory } from '@thaw/testkit/platform.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { ManualClock } from '../../base/clock.ts';
import type { ChunkRef } from '../chunks/chunk-ref.ts';
import { sha256 } from './sample-blobs.ts';
import { newSegmentPlaces } from './segment-places.ts';
import { writeRunsSync } from './segment-runs.ts';
import { QUOTA_BYTES_MIN, SegmentStore, type SegmentStoreOptions } from './segment-store.ts';

function open(t: TestContext, directory: string, options: Partial<SegmentStoreOptions> = {}): SegmentStore {
  const store = new SegmentStore({
    directory,
    quotaBytes: QUOTA_BYTES_MIN,
    places: newSegmentPlaces(),
    clock: new ManualClock(),
    onPlaced: () => undefined,
    onGone: () => undefined,
    onProblem: () => undefined,
    ...options,
  });
  afterTest(t, () => store.close());
  return store;
}

function refOf(bytes: Buffer): ChunkRef {
  return { digest: sha256(bytes), size: bytes.length, blob: '', blobOffset: 0, blobLength: 0 };
}

async function has(store: SegmentStore, bytes: Buffer): Promise<boolean> {
  for await (const arrived of store.get([refOf(bytes)])) return arrived.bytes.equals(bytes);
  return false;
}

test('what was kept is there after a restart, and compared at its first use', async (t) => {
  const directory = await temporaryDirectory(t);
  const chunks = Array.from({ length: 20 }, (_, index) => randomBytes(1000 + index * 37));
  const first = open(t, directory);
  for (const bytes of chunks) await first.put([{ digest: sha256(bytes), bytes: bytes }]);
  await first.close();
  const placed: string[] = [];
  const second = open(t, directory, { onPlaced: (digest) => placed.push(digest) });
  assert.equal(second.usage().chunks, 20);
  assert.equal(second.placeOf(sha256(chunks[0] ?? Buffer.alloc(0))), undefined);
  for (const bytes of chunks) assert.ok(await has(second, bytes));
  assert.deepEqual(
    placed,
    chunks.map((bytes) => sha256(bytes)),
  );
});

test('a damaged chunk and a torn index cost those chunks alone', async (t) => {
  const directory = await temporaryDirectory(t);
  const [good, bad, torn] = [randomBytes(5000), randomBytes(5000), randomBytes(5000)];
  const first = open(t, directory);
  for (const bytes of [good, bad, torn]) await first.put([{ digest: sha256(bytes), bytes: bytes }]);
  await first.close();
  const file = (suffix: string): string =>
    join(directory, readdirSync(directory).find((name) => name.endsWith(suffix)) ?? '');
  const segment = readFileSync(file('.seg'));
  const at = segment.indexOf(bad.subarray(0, 64)) + 17;
  segment.writeUInt8(segment.readUInt8(at) ^ 1, at);
  writeFileSync(file('.seg'), segment);
  truncateSync(file('.idx'), statSync(file('.idx')).size - 7);
  const gone: string[] = [];
  const second = open(t, directory, { onGone: (digests) => gone.push(...digests) });
  assert.deepEqual(
    [await has(second, good), await has(second, bad), await has(second, torn)],
    [true, false, false],
  );
  assert.deepEqual(gone, [sha256(bad)]);
  assert.equal(second.counters.corrupt, 1);
  // It may come again.
  await second.put([{ digest: sha256(bad), bytes: bad }]);
  assert.ok(await has(second, bad));
});

test('the quota holds: segments go that were not read, those that were stay', async (t) => {
  const directory = await temporaryDirectory(t);
  const gone = new Set<string>();
  const store = open(t, directory, {
    onGone: (digests) => {
      for (const digest of digests) gone.add(digest);
    },
  });
  const hot = randomBytes(200_000);
  await store.put([{ digest: sha256(hot), bytes: hot }]);
  for (let at = 0; at < 60; at += 1) {
    const bytes = randomBytes(200_000);
    await store.put([{ digest: sha256(bytes), bytes: bytes }]);
    assert.ok(store.usage().bytes <= QUOTA_BYTES_MIN, String(store.usage().bytes));
    assert.ok(await has(store, hot), `after ${at}`);
  }
  assert.ok(store.usage().evictedSegments >= 8);
  assert.ok(gone.size > 30 && !gone.has(sha256(hot)));
  const onDisk = readdirSync(directory)
    .filter((name) => name.endsWith('.seg'))
    .reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
  assert.ok(onDisk <= QUOTA_BYTES_MIN);
  await store.clear();
  assert.deepEqual([readdirSync(directory), store.usage().chunks], [[], 0]);
});

test('a segment that is being read keeps its descriptor until the reader is done', async (t) => {
  const places = newSegmentPlaces();
  const store = open(t, await temporaryDirectory(t), { places });
  const bytes = randomBytes(1000);
  await store.put([{ digest: sha256(bytes), bytes: bytes }]);
  const [slot = 0] = [...places.descriptors.keys()].filter(
    (each) => Atomics.load(places.descriptors, each) !== 0,
  );
  Atomics.add(places.readers, slot, 1);
  const cleared = store.clear();
  assert.equal(store.placeOf(sha256(bytes)), undefined);
  assert.notEqual(Atomics.load(places.descriptors, slot), 0);
  Atomics.sub(places.readers, slot, 1);
  await cleared;
  assert.equal(Atomics.load(places.descriptors, slot), 0);
});

test('a disk that takes no more is told of once, and tried again later', async (t) => {
  const problems: string[] = [];
  const clock = new ManualClock();
  const directory = await temporaryDirectory(t);
  const store = open(t, directory, { clock, onProblem: (text) => problems.push(text) });
  const bytes = randomBytes(1000);
  // The directory is a file now: nothing can be made in it, whoever tries.
  const { rm, mkdir } = await import('node:fs/promises');
  await rm(directory, { recursive: true });
  writeFileSync(directory, '');
  await store.put([{ digest: sha256(bytes), bytes: bytes }]);
  await store.put([{ digest: sha256(bytes), bytes: bytes }]);
  assert.deepEqual(problems, [
    'nothing is kept in the image cache: the disk of the image cache cannot be written',
  ]);
  assert.match(store.usage().problem ?? '', /cannot be written/u);
  await rm(directory);
  await mkdir(directory);
  clock.advance(60_000);
  await store.put([{ digest: sha256(bytes), bytes: bytes }]);
  assert.ok(await has(store, bytes));
  assert.equal(store.usage().problem, undefined);
});

test('a quota too small to hold anything is refused', async (t) => {
  const directory = await temporaryDirectory(t);
  assert.throws(
    () => open(t, directory, { quotaBytes: 1000 }),
    (error: unknown) => error instanceof ThawError && error.code === 'INVALID_ARGUMENT',
  );
});

test('what another thread writes to places that were reserved is kept, unless it is wrong or abandoned', async (t) => {
  const directory = await temporaryDirectory(t);
  const places = newSegmentPlaces();
  const problems: string[] = [];
  const store = open(t, directory, { places, onProblem: (text) => problems.push(text) });
  const [known, right, wrong, lost] = [1000, 2000, 3000, 4000].map((size) => randomBytes(size));
  assert.ok(known !== undefined && right !== undefined && wrong !== undefined && lost !== undefined);
  await store.put([{ digest: sha256(known), bytes: known }]);
  const reserved = store.reserve([known, right, wrong].map((bytes) => refOf(bytes)));
  assert.ok(reserved !== undefined);
  const [none = 0, first = -1, second = -1] = reserved.offsets;
  assert.ok(none < 0 && first > 0 && second > first);
  writeRunsSync(reserved.descriptor, [{ bytes: right, offset: first }]);
  assert.equal(await has(store, right), false);
  // Nobody closes the segment meanwhile, though it goes.
  assert.ok([...places.readers].includes(1));
  await reserved.keep([true, true, false]);
  assert.ok([...places.readers].every((readers) => readers === 0));
  assert.deepEqual([await has(store, right), await has(store, wrong)], [true, false]);
  const full = Object.assign(new Error('write'), { code: 'ENOSPC' });
  store.reserve([refOf(lost)])?.abandon(full);
  assert.deepEqual(problems, ["nothing is kept in the image cache: the platform's disk is full"]);
  assert.equal(store.reserve([refOf(lost)]), undefined);
  await store.close();
  const next = open(t, directory);
  assert.ok((await has(next, right)) && (await has(next, known)) && !(await has(next, wrong)));
});
