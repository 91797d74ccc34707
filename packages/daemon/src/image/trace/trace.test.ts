import assert from 'node:assert/strict';
import { test } from 'node:test';
import { temporaryDirectory } from '@thaw/testkit/platform.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import * as fc from 'fast-check';
import { SqliteRecords } from '../../store/sqlite/sqlite-records.ts';
import { isOutdated, isWorthAdding, mergeRecordings, replayResult } from './merge-recordings.ts';
import { decodeTouches, encodeTouches } from './recording.ts';
import { replayOrder, TraceStore } from './trace-store.ts';

const of = (...chunks: number[]): { chunks: Uint32Array } => ({ chunks: Uint32Array.from(chunks) });

test('a recording comes back as it was written', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(0xffffffff), fc.nat(60_000))), (touches) => {
      const chunks = Uint32Array.from(touches, ([chunk]) => chunk);
      const ms = Uint32Array.from(touches, ([, at]) => at).toSorted();
      assert.deepEqual(decodeTouches(encodeTouches(chunks, ms)), { chunks, ms });
    }),
  );
  fc.assert(
    fc.property(fc.base64String(), (text) => {
      const { chunks, ms } = decodeTouches(text);
      assert.equal(chunks.length, ms.length);
    }),
  );
  const inOrder = Uint32Array.from({ length: 10_000 }, (_, index) => index);
  assert.ok(encodeTouches(inOrder, inOrder).length < 30_000);
});

test('the newest recording counts in its order, and what older ones agree on follows', () => {
  assert.deepEqual([...mergeRecordings([])], []);
  assert.deepEqual([...mergeRecordings([of(5, 3, 5, 9)])], [5, 3, 9]);
  assert.deepEqual([...mergeRecordings([of(1, 2), of(7, 3)])], [7, 3]);
  assert.deepEqual([...mergeRecordings([of(1, 2, 4), of(4, 2, 6), of(6, 5)])], [6, 5, 2, 4]);
  assert.deepEqual([...mergeRecordings([of(8), of(8), of(1), of(2), of(3)])], [3]);
});

test('a start that read much that its trace did not name makes it outdated', () => {
  const planned = Uint32Array.from({ length: 100 }, (_, index) => index);
  const read = (first: number, count: number): Uint32Array =>
    Uint32Array.from({ length: count }, (_, at) => first + at);
  assert.deepEqual(replayResult(planned, read(50, 60)), {
    planned: 100,
    demanded: 60,
    misses: 10,
    isPacked: false,
  });
  assert.ok(isOutdated(replayResult(planned, read(50, 60))));
  assert.ok(!isOutdated(replayResult(planned, read(0, 105))));
  assert.ok(isWorthAdding(replayResult(planned, read(0, 105))));
  assert.ok(!isWorthAdding(replayResult(planned, read(0, 101))));
  // With a pack a chunk counts that it did not hold all of, named or not.
  const packed = replayResult(planned, read(0, 100), new Set([1, 2, 3, 200]));
  assert.deepEqual([packed.misses, packed.isPacked, isWorthAdding(packed)], [3, true, false]);
  assert.ok(isWorthAdding(replayResult(planned, read(0, 100), new Set(read(0, 6)))));
  // A handful of reads on a warm mount says nothing.
  assert.ok(!isOutdated(replayResult(planned, read(200, 5))));
});

test('traces are kept by version and image, asked for again, cleared and collected', async (t) => {
  const records = new SqliteRecords(await temporaryDirectory(t));
  const traces = new TraceStore(records);
  const recording = (atMs: number, ...chunks: number[]) => ({
    atMs,
    windowMs: 10,
    ...of(...chunks),
    ms: Uint32Array.from(chunks, () => 1),
  });
  traces.add('f@1', 'sha256:a', recording(1, 1, 2));
  traces.add('f@1', 'sha256:a', recording(2, 2, 3));
  assert.deepEqual([...replayOrder(traces.require('f@1'))], [2, 3]);
  assert.equal(traces.get('f@1', 'sha256:b'), undefined);
  traces.want('f@1', 'sha256:a');
  assert.ok(traces.require('f@1').isWanted);
  traces.add('f@1', 'sha256:a', recording(3, 9));
  assert.deepEqual([traces.require('f@1').isWanted, traces.require('f@1').recordings.length], [false, 3]);
  const pack = {
    blob: `sha256:${'a'.repeat(64)}`,
    size: 9,
    imageBytes: 20,
    index: Buffer.from('what it holds'),
  };
  traces.setPack('f@1', 'sha256:a', pack);
  traces.setPack('f@1', 'sha256:b', { ...pack, size: 10 });
  traces.add('f@1', 'sha256:a', recording(4, 10));
  const { index, ...described } = pack;
  assert.deepEqual(traces.require('f@1').pack, described);
  assert.deepEqual(traces.indexedPack(traces.require('f@1')), { ...described, index });
  // Another image begins anew.
  traces.add('f@1', 'sha256:b', recording(4, 5));
  assert.equal(traces.require('f@1').recordings.length, 1);
  assert.equal(traces.indexedPack(traces.require('f@1')), undefined);

  traces.add('f@2', 'sha256:b', recording(5, 6));
  traces.add('g@1', 'sha256:b', recording(6, 7));
  assert.equal(traces.similar('f@3', 'sha256:b')?.versionKey, 'f@2');
  assert.equal(traces.similar('f@3', 'sha256:c'), undefined);
  assert.deepEqual(
    traces.list('f').map(({ versionKey }) => versionKey),
    ['f@1', 'f@2'],
  );
  for (let revision = 10; revision < 40; revision += 1)
    traces.add(`f@${revision}`, 'sha256:b', recording(revision, 1));
  traces.collect(new Set(['sha256:b']));
  assert.deepEqual([traces.list('f').length, traces.list('g').length], [16, 1]);
  traces.collect(new Set());
  assert.deepEqual(traces.list(), []);
  assert.equal(traces.clear('f@1'), false);
  traces.setPack('f@1', 'sha256:a', pack);
  assert.deepEqual(records.list(''), []);
  assert.throws(
    () => traces.require('f@1'),
    (error: unknown) => error instanceof ThawError && error.code === 'IMAGE_NOT_FOUND',
  );
  records.close();
});
