import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Blobs } from './blobs.ts';
import { killAfterAcknowledgements } from './crash-process.ts';

/** One store, fresh when made; opened again it holds what was put. */
export interface BlobStore {
  open(): Promise<Blobs>;
  /** The program and arguments of a process that opens the store and runs `writeBlobsForever`. */
  writer(seed: string): readonly [string, ...string[]];
  /** Bytes of everything the store has on disk, or undefined where nobody can say. */
  bytesOnDisk(): Promise<number | undefined>;
  [Symbol.asyncDispose](): Promise<void>;
}

const CRASHES = 3;
const ACKNOWLEDGEMENTS_MAX = 30;
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

/** The contract of `Blobs`; the numbers are those of its doc comment. */
export function testBlobsContract(name: string, makeStore: () => Promise<BlobStore>): void {
  describe(`${name} keeps the contract of Blobs`, () => {
    it('1: what was acknowledged survives kill -9, and nothing torn has a name', async () => {
      await using store = await makeStore();
      const acknowledged: string[] = [];
      for (let crash = 0; crash < CRASHES; crash += 1) {
        const wanted = 1 + Math.floor(Math.random() * ACKNOWLEDGEMENTS_MAX);
        acknowledged.push(...(await killAfterAcknowledgements(store.writer(`seed${crash}`), wanted)));
        const blobs = await store.open();
        const names = await blobs.list();
        for (const digest of acknowledged) assert.ok(names.includes(digest), `${digest} is lost`);
        for (const digest of names) assert.equal(sha256(await bytesOf(blobs, digest)), digest);
      }
    });

    it('2: equal bytes have one name and one copy, as a buffer and as a stream', async () => {
      await using store = await makeStore();
      const blobs = await store.open();
      const bytes = randomBytes(300_000);
      const stored = { digest: sha256(bytes), size: bytes.length };
      const pieces = () =>
        Readable.from([bytes.subarray(0, 1), bytes.subarray(1, 200_000), bytes.subarray(200_000)]);
      const results = await Promise.all([
        blobs.put(bytes, bytes.length),
        blobs.put(pieces(), bytes.length),
        blobs.put(pieces(), bytes.length),
      ]);
      assert.deepEqual(results, [stored, stored, stored]);
      assert.deepEqual(await blobs.list(), [stored.digest]);
      assert.deepEqual(await bytesOf(blobs, stored.digest), bytes);
      const onDisk = await store.bytesOnDisk();
      if (onDisk !== undefined) assert.equal(onDisk, bytes.length);
    });

    it('2: no bytes are a blob too', async () => {
      await using store = await makeStore();
      const blobs = await store.open();
      assert.deepEqual(await blobs.put(Buffer.alloc(0), 0), { digest: sha256(Buffer.alloc(0)), size: 0 });
    });

    it('3: one byte more than the bound is refused and leaves nothing', async () => {
      await using store = await makeStore();
      const blobs = await store.open();
      await blobs.put(Buffer.alloc(1000), 1000);
      for (const source of [Buffer.alloc(1001), Readable.from([Buffer.alloc(1000), Buffer.alloc(1)])]) {
        await assert.rejects(
          blobs.put(source, 1000),
          (error) => error instanceof ThawError && error.code === 'PAYLOAD_TOO_LARGE',
        );
      }
      assert.equal((await blobs.list()).length, 1);
      const onDisk = await store.bytesOnDisk();
      if (onDisk !== undefined) assert.equal(onDisk, 1000);
    });

    it('4, 5: a deleted or unknown blob has no path, and deleting it again does nothing', async () => {
      await using store = await makeStore();
      const blobs = await store.open();
      const { digest } = await blobs.put(Buffer.from('x'), 1);
      await blobs.delete(digest);
      await blobs.delete(digest);
      await blobs.delete('../../etc/passwd');
      assert.equal(blobs.path(digest), undefined);
      assert.equal(blobs.path('../../etc/passwd'), undefined);
      assert.deepEqual(await blobs.list(), []);
    });

    it('6: a source that breaks off leaves nothing and is left to its owner', async () => {
      await using store = await makeStore();
      const blobs = await store.open();
      const broken = Readable.from(
        (function* () {
          yield Buffer.alloc(10);
          throw new Error('connection reset');
        })(),
      );
      await assert.rejects(
        blobs.put(broken, 1000),
        (error) => error instanceof ThawError && error.code === 'BODY_TRUNCATED',
      );
      const long = Readable.from([Buffer.alloc(10), Buffer.alloc(10), Buffer.alloc(10)]);
      await assert.rejects(blobs.put(long, 5));
      assert.equal(long.destroyed, false);
      long.destroy();
      assert.deepEqual(await blobs.list(), []);
    });
  });
}

async function bytesOf(blobs: Blobs, digest: string): Promise<Buffer> {
  const path = blobs.path(digest);
  assert.ok(path !== undefined);
  return readFile(path);
}
