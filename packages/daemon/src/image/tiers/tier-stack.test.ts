import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { afterTest } from '@thaw/testkit/after-test.ts';
import { temporaryDirectory } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { ManualClock } from '../../base/clock.ts';
import { Bandwidth } from './bandwidth.ts';
import type { ChunkBlob } from './blob-tier.ts';
import { FetchSlots } from './fetch-slots.ts';
import { sampleBlob, type SampleBlob } from './sample-blobs.ts';
import { openSampleNode, type SampleNode } from './sample-node.ts';
import { gapWithin, piecesOf, spansOf } from './spans.ts';

async function nodeOn(t: TestContext, blob: ChunkBlob, giveUpMs?: number): Promise<SampleNode> {
  const node = openSampleNode(await temporaryDirectory(t), () => blob, undefined, undefined, giveUpMs);
  afterTest(t, () => node.close());
  return node;
}

async function all(node: SampleNode, blob: SampleBlob): Promise<void> {
  let count = 0;
  for await (const { ref, bytes } of node.stack.get(blob.chunks, { urgency: 'demand' })) {
    assert.ok(blob.plain.get(ref.digest)?.equals(bytes));
    count += 1;
  }
  assert.equal(count, blob.chunks.length);
}

test('many that want the same chunks at once fetch each once, neighbours together', async (t) => {
  const blob = sampleBlob(100);
  const node = await nodeOn(t, blob);
  await Promise.all(Array.from({ length: 20 }, () => all(node, blob)));
  assert.equal(blob.requestedBytes, blob.bytes.length);
  assert.equal(blob.requests, 1);
  // From now on it comes from the disk.
  blob.failure = new ThawError('REGISTRY_FAILED', 'down');
  await all(node, blob);
  assert.equal(node.registry.counters.chunks, 100);
});

test('what is wrong is thrown away, counted and fetched again', async (t) => {
  const blob = sampleBlob(10);
  const other = sampleBlob(10, undefined, 'other');
  let isWrong = true;
  const node = await nodeOn(t, {
    async *read(start, ends, signal) {
      if (isWrong) {
        isWrong = false;
        const end = ends[0] ?? start;
        const wrong = other.bytes.subarray(Math.min(start, other.bytes.length - 1));
        yield new Uint8Array(Buffer.concat([wrong, Buffer.alloc(end - start)], end - start));
      } else {
        yield* blob.read(start, ends, signal);
      }
    },
  });
  await all(node, blob);
  assert.ok(node.registry.counters.corrupt > 0);
});

test('a bomb in place of a chunk is stopped at the chunk’s size', async (t) => {
  const blob = sampleBlob(1);
  const { gzipSync } = await import('node:zlib');
  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));
  const [chunk] = blob.chunks;
  assert.ok(chunk !== undefined);
  const node = await nodeOn(
    t,
    {
      async *read() {
        yield await Promise.resolve(new Uint8Array(bomb));
      },
    },
    200,
  );
  const ref = { ...chunk, blobLength: bomb.length };
  await assert.rejects(
    node.stack.require(ref),
    (error: unknown) => error instanceof ThawError && error.code === 'REGISTRY_FAILED',
  );
  assert.ok(node.registry.counters.corrupt > 0);
});

test('a registry that has too much to do is asked again, one that is down ends in an error', async (t) => {
  const blob = sampleBlob(1);
  const node = await nodeOn(t, blob, 200);
  const [chunk] = blob.chunks;
  assert.ok(chunk !== undefined);
  blob.failure = new ThawError('REGISTRY_FAILED', 'too much', { retryAfterS: 0.01 });
  const waiting = node.stack.require(chunk);
  await waitFor('a second request', () => blob.requests > 1);
  blob.failure = undefined;
  assert.equal((await waiting).from, 'registry');
  const lost = sampleBlob(1);
  const down = await nodeOn(t, lost, 100);
  lost.failure = new ThawError('IMAGE_NOT_FOUND', 'gone');
  const [missing] = lost.chunks;
  assert.ok(missing !== undefined);
  await assert.rejects(down.stack.require(missing), /could not be had/u);
  // Nothing is remembered of it.
  lost.failure = undefined;
  assert.equal((await down.stack.require(missing)).from, 'registry');
});

test('a chunk that is demanded does not wait behind those that are fetched ahead', async (t) => {
  const blob = sampleBlob(64);
  const held: (() => void)[] = [];
  let isHolding = true;
  const node = await nodeOn(t, {
    async *read(start, ends, signal) {
      if (isHolding) await new Promise<void>((resolve) => held.push(resolve));
      yield* blob.read(start, ends, signal);
    },
  });
  const ahead = blob.chunks.map((chunk) => node.stack.prefetch([chunk]));
  await waitFor('all slots of prefetching', () => held.length === 16);
  const last = blob.chunks.at(-1);
  assert.ok(last !== undefined);
  const demanded = node.stack.require(last);
  await waitFor('a request for what is demanded', () => held.length === 17);
  isHolding = false;
  held.at(-1)?.();
  assert.equal((await demanded).ref, last);
  for (const release of held) release();
  await Promise.all(ahead);
  assert.equal(blob.requests, 64);
});

test('spans join neighbours, skip small gaps, and come in the order of what is wanted first', () => {
  const { chunks } = sampleBlob(40, () => 30_000);
  const [first] = chunks;
  assert.ok(first !== undefined);
  const wanted = [...chunks.slice(30, 33), ...chunks.slice(0, 2), ...chunks.slice(3, 5)];
  const spans = spansOf(wanted);
  assert.deepEqual(
    spans.map((span) => span.chunks.length),
    [3, 4],
  );
  const far = { ...first, blobOffset: first.blobOffset + 100_000_000 };
  assert.equal(spansOf([first, far]).length, 2);
  assert.ok(spansOf(chunks, 100_000).every(({ start, end }) => end - start <= 100_000));
});

test('gaps are read over within a share of what is wanted, and pieces cut no chunk', () => {
  const { chunks } = sampleBlob(60, () => 40_000);
  const everySecond = chunks.filter((_, index) => index % 2 === 0);
  // Reading over every gap would double what is read.
  assert.ok(spansOf(everySecond, undefined, gapWithin(everySecond)).length >= 28);
  const allButTwo = chunks.filter((_, index) => index !== 20 && index !== 40);
  const [span, ...others] = spansOf(allButTwo, 100_000_000, gapWithin(allButTwo));
  assert.ok(span !== undefined && others.length === 0);
  const pieces = piecesOf(span);
  assert.ok(pieces.length >= 2);
  assert.deepEqual(
    pieces.flatMap((piece) => piece.chunks),
    span.chunks,
  );
  for (const [index, { start, end, chunks: inside }] of pieces.entries()) {
    assert.equal(start, pieces[index - 1]?.end ?? span.start);
    assert.ok(
      inside.every((chunk) => chunk.blobOffset >= start && chunk.blobOffset + chunk.blobLength <= end),
    );
  }
});

test('a span that breaks off goes on from the first piece that is missing', async (t) => {
  const blob = sampleBlob(10, () => 400_000);
  let breaks = 1;
  const node = await nodeOn(t, {
    async *read(start, ends, signal) {
      let given = 0;
      for await (const part of blob.read(start, ends, signal)) {
        if (given === 2 && breaks > 0) {
          breaks -= 1;
          throw new ThawError('REGISTRY_FAILED', 'broken off', { retryAfterS: 0.01 });
        }
        given += 1;
        yield part;
      }
    },
  });
  await all(node, blob);
  assert.equal(blob.requests, 2);
  assert.equal(node.registry.counters.wireBytes, blob.bytes.length);
});

test('what is fetched ahead goes to the disk alone, and whoever comes meanwhile reads it there', async (t) => {
  const blob = sampleBlob(20);
  const held: (() => void)[] = [];
  const node = await nodeOn(t, {
    async *read(start, ends, signal, memory) {
      await new Promise<void>((resolve) => held.push(resolve));
      for await (const part of blob.read(start, ends, signal)) {
        // As from a network, into memory that is used again.
        const taken = memory?.(part.length) ?? new Uint8Array(part.length);
        taken.set(part);
        yield taken;
      }
    },
  });
  const ahead = node.stack.prefetch(blob.chunks);
  await waitFor('a request', () => held.length === 1);
  const demanded = blob.chunks.slice(0, 5).map((chunk) => node.stack.require(chunk));
  held[0]?.();
  assert.ok((await ahead).every(({ bytes, from }) => bytes === undefined && from === 'registry'));
  for (const { ref, bytes } of await Promise.all(demanded))
    assert.ok(blob.plain.get(ref.digest)?.equals(bytes));
  assert.equal(blob.requests, 1);
  assert.equal(node.disk.counters.chunks, 0);
  await all(node, blob);
  assert.equal(node.disk.counters.chunks, 20);
});

test('the bandwidth of fetching ahead is bounded', () => {
  const clock = new ManualClock();
  const bandwidth = new Bandwidth(1000, clock);
  let waitMs = 0;
  for (let at = 0; at < 100; at += 1) waitMs = bandwidth.take(100);
  assert.ok(waitMs >= 9_800 && waitMs <= 9_900, String(waitMs));
  clock.advance(60_000);
  assert.equal(bandwidth.take(50), 0);
});

test('slots are given to who demands first', async () => {
  const slots = new FetchSlots();
  const running = await Promise.all(Array.from({ length: 32 }, () => slots.acquire('demand')));
  const order: string[] = [];
  const waiting = (['prefetch', 'demand'] as const).map(async (urgency) => {
    const release = await slots.acquire(urgency);
    order.push(urgency);
    release();
  });
  for (const release of running) release();
  await Promise.all(waiting);
  assert.deepEqual(order, ['demand', 'prefetch']);
});
