import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { killAfterAcknowledgements } from './crash-process.ts';
import type { ObjectCause, ObjectInfo, Objects, ObjectTarget } from './objects.ts';

/** One store, fresh when made; opened again it holds what was put. */
export interface ObjectStore {
  open(): Promise<Objects>;
  /** Closes what `open` gave. */
  close(objects: Objects): Promise<void>;
  /** The program and arguments of a process that opens the store and runs `writeObjectsForever`. */
  writer(seed: string): readonly [string, ...string[]];
  /** Bytes of all objects, parts and leftovers on disk, without what names them. */
  bytesOnDisk(): Promise<number>;
  [Symbol.asyncDispose](): Promise<void>;
}

export const CRASH_BUCKET = 'crashes';
export const CRASH_WATCH = 'all';
const CRASHES = 3;
const ACKNOWLEDGEMENTS_MAX = 25;
const NO_ATTRIBUTES = { headers: {}, userMetadata: {} };

export function causeOf(operation: ObjectCause['operation']): ObjectCause {
  return { operation, requestId: '1-0-0', sourceIp: '127.0.0.1', principalId: 'owner' };
}

/** The contract of `Objects`; the numbers are those of its doc comment. */
export function testObjectsContract(storeName: string, makeStore: () => Promise<ObjectStore>): void {
  describe(`${storeName} keeps the contract of Objects`, () => {
    const named = (text: string, work: (objects: Objects, store: ObjectStore) => Promise<void>): void => {
      it(text, async () => {
        await using store = await makeStore();
        const objects = await store.open();
        objects.createBucket('bucket');
        try {
          await work(objects, store);
        } finally {
          await store.close(objects);
        }
      });
    };

    it('1, 7, 9: what was acknowledged survives kill -9 with its change, and nothing else stays', async () => {
      await using store = await makeStore();
      const acknowledged = new Set<string>();
      for (let crash = 0; crash < CRASHES; crash += 1) {
        const wanted = 1 + Math.floor(Math.random() * ACKNOWLEDGEMENTS_MAX);
        for (const line of await killAfterAcknowledgements(store.writer(`seed${crash}`), wanted))
          acknowledged.add(line);
        const objects = await store.open();
        const page = objects.list(CRASH_BUCKET, { prefix: '', delimiter: '', after: '', limit: 100_000 });
        const keys = new Set(page.objects.map(({ key }) => key));
        for (const key of acknowledged) assert.ok(keys.has(key), `${key} is lost`);
        for (const key of keys) {
          const { bytes, info } = await contentOf(objects, CRASH_BUCKET, key);
          assert.equal(info.etag, md5(bytes), `${key} is torn`);
        }
        // One change for each object that is there, and none for one that is not.
        const changes = objects.watches.changes(CRASH_WATCH, 100_000);
        assert.deepEqual(changes.map(({ key }) => key).toSorted(), [...keys].toSorted());
        await store.close(objects);
        const sizes = page.objects.reduce((sum, { size }) => sum + size, 0);
        assert.equal(await store.bytesOnDisk(), sizes);
      }
    });

    named(
      '1: an object comes back whole after a restart, with all that it was put with',
      async (objects, store) => {
        const attributes = {
          headers: { 'content-type': 'text/plain', 'cache-control': 'no-store' },
          userMetadata: { who: 'me' },
          checksum: { algorithm: 'CRC32', value: 'AAAAAA==' } as const,
        };
        const put = await putText(objects, 'a/ключ ☃', 'hello', { attributes });
        assert.equal(put.etag, md5(Buffer.from('hello')));
        await store.close(objects);
        const again = await store.open();
        assert.deepEqual(again.find({ bucket: 'bucket', key: 'a/ключ ☃' }), put);
        assert.deepEqual(put.attributes, attributes);
        assert.equal((await contentOf(again, 'bucket', 'a/ключ ☃')).bytes.toString(), 'hello');
        await store.close(again);
      },
    );

    named(
      '2: one byte more than the bound, and a source that breaks off, leave nothing',
      async (objects, store) => {
        await assert.rejects(
          objects.stage(Readable.from([Buffer.alloc(10), Buffer.alloc(1)]), 10),
          code('PAYLOAD_TOO_LARGE'),
        );
        const broken = Readable.from(
          (function* () {
            yield Buffer.alloc(10);
            throw new Error('connection reset');
          })(),
        );
        await assert.rejects(objects.stage(broken, 1000), code('BODY_TRUNCATED'));
        const long = Readable.from([Buffer.alloc(10), Buffer.alloc(10), Buffer.alloc(10)]);
        await assert.rejects(objects.stage(long, 5), code('PAYLOAD_TOO_LARGE'));
        assert.equal(long.destroyed, false);
        long.destroy();
        await objects.discard(await objects.stage(Readable.from([Buffer.alloc(10)]), 10));
        const staged = await objects.stage(Readable.from([Buffer.alloc(10)]), 10);
        await assert.rejects(objects.put(targetOf('', {}), staged, NO_ATTRIBUTES), code('INVALID_ARGUMENT'));
        await store.close(objects);
        assert.equal(await store.bytesOnDisk(), 0);
      },
    );

    named('3: lists are in the order of UTF-8, page by page, and group by delimiter', async (objects) => {
      // By UTF-16 the last two would change places.
      const keys = ['a', 'a/', 'a/1', 'a/2/x', 'a0', 'b/1', 'b/2', 'é', '\uFFFD', '\u{1F600}'];
      for (const key of keys.toReversed()) await putText(objects, key, key);
      for (const limit of [1, 2, 3, 100]) {
        assert.deepEqual(pages(objects, { prefix: '', delimiter: '', limit }), keys, `by ${limit}`);
        assert.deepEqual(
          pages(objects, { prefix: '', delimiter: '/', limit }),
          ['a', 'a/', 'a0', 'b/', 'é', '\uFFFD', '\u{1F600}'],
          `grouped by ${limit}`,
        );
        assert.deepEqual(
          pages(objects, { prefix: 'a/', delimiter: '/', limit }),
          ['a/', 'a/1', 'a/2/'],
          `in a/ by ${limit}`,
        );
      }
      assert.deepEqual(pages(objects, { prefix: 'zz', delimiter: '/', limit: 1 }), []);
      assert.deepEqual(pages(objects, { prefix: '', delimiter: '', limit: 10 }, 'a/2/x'), keys.slice(4));
    });

    named('3: many keys under few prefixes are walked past', async (objects) => {
      await Promise.all(Array.from({ length: 350 }, (_, n) => putText(objects, `${n % 2}/${n}`, '')));
      assert.deepEqual(pages(objects, { prefix: '', delimiter: '/', limit: 1 }), ['0/', '1/']);
    });

    named('4: of two that put a new key, one is refused and leaves nothing', async (objects, store) => {
      const check = (current: ObjectInfo | undefined): void => {
        if (current !== undefined) throw new ThawError('PRECONDITION_FAILED', 'it is there');
      };
      const results = await Promise.allSettled(
        ['one', 'two'].map((text) => putText(objects, 'key', text, { check })),
      );
      assert.deepEqual(results.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected']);
      await store.close(objects);
      assert.equal(await store.bytesOnDisk(), 3);
    });

    named('5, 9: a reader reads on after its object was put again or deleted', async (objects, store) => {
      const bytes = randomBytes(600_000);
      await putBytes(objects, 'key', bytes);
      const reader = objects.open({ bucket: 'bucket', key: 'key' });
      assert.ok(reader !== undefined);
      await putText(objects, 'key', 'other');
      assert.deepEqual(await objects.delete('bucket', ['key', 'never'], causeOf('DeleteObjects')), [
        true,
        false,
      ]);
      assert.equal(objects.find({ bucket: 'bucket', key: 'key' }), undefined);
      assert.deepEqual(await buffer(Readable.from(reader.bytes(0, bytes.length))), bytes);
      assert.deepEqual(
        await buffer(Readable.from(reader.bytes(299_990, 300_010))),
        bytes.subarray(299_990, 300_010),
      );
      reader.close();
      reader.close();
      await store.close(objects);
      assert.equal(await store.bytesOnDisk(), 0);
    });

    named('5: a copy lives on without its original', async (objects) => {
      const first = await putText(objects, 'one', 'shared');
      const source = { bucket: 'bucket', key: 'one' };
      const copy = await objects.copy(source, targetOf('two', { operation: 'CopyObject' }), undefined);
      assert.equal(copy.etag, first.etag);
      await objects.delete('bucket', ['one'], causeOf('DeleteObject'));
      assert.equal((await contentOf(objects, 'bucket', 'two')).bytes.toString(), 'shared');
      await assert.rejects(objects.copy(source, targetOf('three', {}), undefined), code('OBJECT_NOT_FOUND'));
    });

    named('6: parts become one object, in their order and whatever was put twice', async (objects, store) => {
      const name = { bucket: 'bucket', key: 'big' };
      const upload = objects.uploads.create(name, { headers: { 'content-type': 'x/y' }, userMetadata: {} });
      const bytes = [1, 2, 3].map((part) => Buffer.alloc(part === 3 ? 10 : LIMITS.partBytesMin, part));
      const put = async (number: number, content: Buffer): Promise<string> => {
        const staged = await objects.stage(Readable.from([content]), LIMITS.objectPutBytesMax);
        const part = await objects.uploads.putPart(upload, number, staged, undefined);
        return part.etag;
      };
      await put(2, Buffer.from('overwritten'));
      const etags = [await put(1, bytes[0] ?? Buffer.alloc(0)), await put(2, bytes[1] ?? Buffer.alloc(0))];
      etags.push(await put(7, bytes[2] ?? Buffer.alloc(0)));
      await put(9, Buffer.from('not named'));
      const { items, isTruncated } = objects.uploads.listParts(upload, 1, 2);
      assert.deepEqual([items.map(({ number }) => number), isTruncated], [[2, 7], true]);
      const parts = [1, 2, 7].map((number, at) => ({ number, etag: etags[at] ?? '', checksum: undefined }));
      const target = targetOf('big', { operation: 'CompleteMultipartUpload' });
      const wrong = { number: 1, etag: md5(Buffer.from('x')), checksum: undefined };
      const small = { number: 9, etag: md5(Buffer.from('not named')), checksum: undefined };
      for (const [named_, s3Code] of [
        [[wrong], 'InvalidPart'],
        [parts.toReversed(), 'InvalidPartOrder'],
        [[...parts, small], 'EntityTooSmall'],
        [[], 'MalformedXML'],
      ] as const) {
        await assert.rejects(objects.uploads.complete(upload, named_, target), (error) => {
          assert.ok(error instanceof ThawError);
          assert.equal(error.details['s3Code'], s3Code);
          return true;
        });
      }
      const info = await objects.uploads.complete(upload, parts, target);
      assert.equal(info.etag, `${md5(Buffer.concat(etags.map((etag) => Buffer.from(etag, 'hex'))))}-3`);
      assert.equal(info.size, 2 * LIMITS.partBytesMin + 10);
      assert.deepEqual(await objects.uploads.complete(upload, parts, target), info);
      assert.deepEqual((await contentOf(objects, 'bucket', 'big')).bytes, Buffer.concat(bytes));
      const reader = objects.open(name);
      const across = await buffer(
        Readable.from(reader?.bytes(LIMITS.partBytesMin - 1, LIMITS.partBytesMin + 1) ?? []),
      );
      assert.deepEqual([...across], [1, 2]);
      reader?.close();
      assert.throws(() => objects.uploads.abort(upload), code('UPLOAD_NOT_FOUND'));
      await store.close(objects);
      assert.equal(await store.bytesOnDisk(), info.size);
    });

    named(
      '6, 9: an aborted upload leaves nothing, and uploads are listed until then',
      async (objects, store) => {
        const ids = ['b', 'a', 'a'].map((key) =>
          objects.uploads.create({ bucket: 'bucket', key }, NO_ATTRIBUTES),
        );
        const all = objects.uploads.list('bucket', { prefix: '', afterKey: '', afterUploadId: '', limit: 2 });
        assert.deepEqual([all.items.map(({ key }) => key), all.isTruncated], [['a', 'a'], true]);
        for (const upload of ids) {
          const staged = await objects.stage(Readable.from([Buffer.alloc(100)]), 100);
          await objects.uploads.putPart(upload, 1, staged, undefined);
        }
        assert.throws(() => objects.deleteBucket('bucket'), code('IN_USE'));
        for (const upload of ids) objects.uploads.abort(upload);
        objects.deleteBucket('bucket');
        await store.close(objects);
        assert.equal(await store.bytesOnDisk(), 0);
      },
    );

    named(
      '7: a watch gets what matches it, in order, until it says that it has it',
      async (objects, store) => {
        const watch = {
          watchId: 'w',
          bucket: 'bucket',
          events: ['ObjectCreated:*'],
          prefix: 'in/',
          suffix: '.jpg',
        };
        await putText(objects, 'in/before.jpg', 'x');
        objects.watches.set(watch);
        objects.watches.set({ ...watch, watchId: 'gone', events: ['ObjectRemoved:DeleteObject'] });
        let told = 0;
        const unlisten = objects.watches.listen('w', () => (told += 1));
        await putText(objects, 'in/1.jpg', 'one');
        await putText(objects, 'in/1.jpg', 'longer');
        await putText(objects, 'in/1.png', 'x');
        await putText(objects, 'out/1.jpg', 'x');
        await objects.delete('bucket', ['in/1.jpg'], causeOf('DeleteObject'));
        unlisten();
        assert.equal(told, 2);
        await store.close(objects);
        const again = await store.open();
        const changes = again.watches.changes('w', 10);
        assert.deepEqual(
          changes.map(({ event, key, size, deltaSize }) => [event, key, size, deltaSize]),
          [
            ['ObjectCreated:PutObject', 'in/1.jpg', 3, 3],
            ['ObjectCreated:PutObject', 'in/1.jpg', 6, 3],
          ],
        );
        assert.equal(again.watches.changes('gone', 10)[0]?.deltaSize, -6);
        await again.watches.acknowledge('w', changes[0]?.sequence ?? 0);
        assert.deepEqual(again.watches.changes('w', 10), changes.slice(1));
        again.watches.delete('w');
        assert.deepEqual([again.watches.ids(), again.watches.changes('w', 10)], [['gone'], []]);
        await store.close(again);
      },
    );

    named('8: what cannot be is refused', async (objects, store) => {
      for (const bucket of ['ab', 'Upper', '-a-', '../up', 'a/b', 'x'.repeat(64), 'a.b.c'])
        assert.throws(() => objects.createBucket(bucket), code('INVALID_ARGUMENT'), bucket);
      assert.throws(() => objects.createBucket('bucket'), code('BUCKET_EXISTS'));
      for (const key of ['', 'a\0b', '\uD800', 'é'.repeat(513)])
        await assert.rejects(putText(objects, key, 'x'), code('INVALID_ARGUMENT'));
      await putText(objects, 'é'.repeat(512), 'x');
      await putText(objects, '../../escape', 'x');
      const missing = { bucket: 'missing', key: 'x' };
      assert.throws(() => objects.find(missing), code('BUCKET_NOT_FOUND'));
      assert.throws(() => objects.deleteBucket('missing'), code('BUCKET_NOT_FOUND'));
      assert.throws(() => objects.uploads.create(missing, NO_ATTRIBUTES), code('BUCKET_NOT_FOUND'));
      assert.throws(() => objects.deleteBucket('bucket'), code('IN_USE'));
      await store.close(objects);
      assert.equal(await store.bytesOnDisk(), 2);
    });
  });
}

function code(wanted: string): (error: unknown) => boolean {
  return (error) => error instanceof ThawError && error.code === wanted;
}

function md5(bytes: Buffer): string {
  return createHash('md5').update(bytes).digest('hex');
}

interface PutOptions extends Pick<ObjectTarget, 'check'> {
  readonly attributes?: ObjectInfo['attributes'];
  readonly operation?: ObjectCause['operation'];
}

function targetOf(key: string, { check, operation = 'PutObject' }: PutOptions): ObjectTarget {
  return { bucket: 'bucket', key, cause: causeOf(operation), ...(check === undefined ? {} : { check }) };
}

function putText(objects: Objects, key: string, text: string, options: PutOptions = {}): Promise<ObjectInfo> {
  return putBytes(objects, key, Buffer.from(text), options);
}

async function putBytes(
  objects: Objects,
  key: string,
  bytes: Buffer,
  options: PutOptions = {},
): Promise<ObjectInfo> {
  const staged = await objects.stage(Readable.from([bytes]), bytes.length);
  return objects.put(targetOf(key, options), staged, options.attributes ?? NO_ATTRIBUTES);
}

async function contentOf(
  objects: Objects,
  bucket: string,
  key: string,
): Promise<{ readonly bytes: Buffer; readonly info: ObjectInfo }> {
  const reader = objects.open({ bucket, key });
  assert.ok(reader !== undefined);
  try {
    return { info: reader.info, bytes: await buffer(Readable.from(reader.bytes(0, reader.info.size))) };
  } finally {
    reader.close();
  }
}

/** Keys and prefixes of all pages, each page merged in the order of UTF-8. */
function pages(
  objects: Objects,
  query: { readonly prefix: string; readonly delimiter: string; readonly limit: number },
  first = '',
): string[] {
  const found: string[] = [];
  for (let after: string | undefined = first; after !== undefined;) {
    const page = objects.list('bucket', { ...query, after });
    const names = [...page.objects.map(({ key }) => key), ...page.prefixes];
    assert.ok(names.length <= query.limit);
    found.push(...names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
    after = page.next;
  }
  return found;
}
