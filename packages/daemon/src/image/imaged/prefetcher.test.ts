import assert from 'node:assert/strict';
import { test } from 'node:test';
import { afterTest } from '@thaw/testkit/after-test.ts';
import { temporaryDirectory } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { systemClock } from '../../base/clock.ts';
import { Bandwidth } from '../tiers/bandwidth.ts';
import { sampleBlob } from '../tiers/sample-blobs.ts';
import { openSampleNode } from '../tiers/sample-node.ts';
import { prefetch, windowsOf } from './prefetcher.ts';

test('who comes to a chunk before its turn gets it at once, with those that follow it', async (t) => {
  const blob = sampleBlob(2000, () => 2_000);
  const asked: { readonly start: number; readonly end: number; readonly release: () => void }[] = [];
  let isHolding = true;
  const node = openSampleNode(await temporaryDirectory(t), () => ({
    async *read(start, ends, signal) {
      if (isHolding)
        await new Promise<void>((release) => {
          asked.push({ start, end: ends.at(-1) ?? start, release });
        });
      yield* blob.read(start, ends, signal);
    },
  }));
  afterTest(t, () => node.close());
  // Pairs that lie far from each other: each is a span of its own.
  const wanted = blob.chunks.filter((_, index) => index % 40 < 2);
  let arrived = 0;
  const ahead = prefetch(node.stack, new Bandwidth(1e9, systemClock), wanted, 'demand', (arrivals) => {
    arrived += arrivals.length;
  });
  await waitFor('the first spans to be asked for', () => asked.length >= 10);
  const before = asked.length;
  const hurried = wanted[60];
  assert.ok(hurried !== undefined);
  assert.ok(asked.every(({ start, end }) => hurried.blobOffset < start || hurried.blobOffset >= end));
  ahead.hurry(hurried.digest);
  const demanded = node.stack.require(hurried);
  await waitFor('a request for it', () => asked.length > before);
  const [request] = asked.slice(before);
  assert.equal(request?.start, hurried.blobOffset);
  assert.ok(request.end > hurried.blobOffset + hurried.blobLength);
  request.release();
  assert.equal((await demanded).from, 'registry');
  isHolding = false;
  for (const { release } of asked) release();
  await ahead.done;
  assert.equal(arrived, wanted.length);
  assert.equal(ahead.left(), 0);
});

test('what is wanted last does not come with what is wanted first, though it lies beside it', () => {
  const blobLength = 50_000;
  const chunks = Array.from({ length: 8000 }, (_, index) => ({
    digest: String(index),
    size: 2 * blobLength,
    blob: 'blob',
    blobOffset: index * blobLength,
    blobLength,
  }));
  // Every other chunk, and back again by those between.
  const [there, back] = [0, 1].map((rest) => chunks.filter((_, index) => index % 2 === rest));
  const wanted = [...(there ?? []), ...(back ?? []).toReversed()];
  const placeOf = new Map(wanted.map(({ digest }, place) => [digest, place]));
  let asked = 0;
  for (const span of [...windowsOf(wanted)].flat()) {
    const first = Math.min(...span.chunks.map(({ digest }) => placeOf.get(digest) ?? assert.fail()));
    assert.ok((asked - first) * blobLength < 12e6, `${asked} chunks were asked for before number ${first}`);
    asked += span.chunks.length;
  }
  assert.equal(asked, wanted.length);
});
