import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { temporaryDirectory } from '@thaw/testkit/platform.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import * as fc from 'fast-check';
import { convertLayer, type ConvertedLayer, type LayerLimits } from './convert-layer.ts';
import { estargz, footer, tocOffsetOf } from './estargz-format.ts';
import type { LayerFormat } from './layer-format.ts';
import { readLayer } from './layer-reader.ts';
import { plainTar } from './plain-tar.ts';
import { rawTar, type RawEntry } from './tar-writer.ts';
import { zstdChunked } from './zstd-chunked-format.ts';

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

interface Kind {
  readonly format: LayerFormat;
  readonly unpack: (packed: Buffer) => Buffer;
  /** What `tar` lists behind the layer's own files. */
  readonly behind: readonly string[];
}

const KINDS: Readonly<Record<string, Kind>> = {
  eStargz: { format: estargz, unpack: (packed) => gunzipSync(packed), behind: ['stargz.index.json'] },
  'zstd:chunked': { format: zstdChunked, unpack: (packed) => zstdDecompressSync(packed), behind: [] },
};

async function convert(
  t: TestContext,
  tar: Buffer,
  { limits, format = zstdChunked }: { limits?: LayerLimits; format?: LayerFormat } = {},
): Promise<{ layer: ConvertedLayer; blob: Buffer; path: string }> {
  const path = join(await temporaryDirectory(t), 'layer');
  const file = await open(path, 'wx');
  try {
    const layer = await convertLayer(plainTar(Readable.from([tar])), file, format, limits);
    return { layer, blob: await readFile(path), path };
  } finally {
    await file.close();
  }
}

const reading = (blob: Buffer): Parameters<typeof readLayer>[0] => ({
  size: blob.length,
  readRange: (start, end) => Promise.resolve(blob.subarray(start, end)),
});

test('a converted layer is the same tar for everybody else, with a table of contents behind it', async (t) => {
  for (const [name, kind] of Object.entries(KINDS)) await t.test(name, (inner) => converted(inner, kind));
});

async function converted(t: TestContext, { format, unpack, behind }: Kind): Promise<void> {
  const large = randomBytes(1_300_000);
  const tar = rawTar([
    { name: 'bin/', type: '5', mode: 0o755 },
    { name: 'bin/large', body: large, mode: 0o4755, uid: 7, gid: 8, pax: { mtime: '1700000001.123456789' } },
    { name: 'bin/empty' },
    { name: 'bin/link', type: '2', linkName: 'large' },
    { name: 'bin/same', type: '1', linkName: 'bin/large' },
    { name: 'pipe', type: '6' },
    { name: 'dev/null', type: '3', device: [1, 3] },
    {
      name: 'capable',
      body: 'x',
      pax: { 'SCHILY.xattr.security.capability': Buffer.from('0100000280ff00ff', 'hex') },
    },
  ]);
  const { layer, blob, path } = await convert(t, tar, { format });

  assert.equal(layer.digest, `sha256:${sha256(blob)}`);
  assert.equal(layer.diffId, `sha256:${sha256(unpack(blob))}`);
  assert.equal(layer.size, blob.length);
  // All headers and files byte for byte; only the end is another.
  assert.ok(
    unpack(blob)
      .subarray(0, tar.length - 1024)
      .equals(tar.subarray(0, -1024)),
  );
  const listed = execFileSync('tar', ['-tf', '-'], { input: unpack(await readFile(path)) })
    .toString()
    .trim()
    .split('\n');
  assert.deepEqual(listed.slice(-1 - behind.length), ['capable', ...behind]);

  const entries = await readLayer(reading(blob), layer.tocDigest);
  assert.deepEqual(
    entries.map(({ chunks, ...rest }) => ({ ...rest, chunks: chunks.length })),
    layer.entries.map(({ chunks, ...rest }) => ({ ...rest, chunks: chunks.length })),
  );
  const file = entries.find((entry) => entry.path === 'bin/large');
  assert.equal(file?.mtimeNs, 1_700_000_001_123_456_789n);
  assert.deepEqual(
    file?.chunks.map(({ size }) => size),
    [524_288, 524_288, 251_424],
  );
  const parts = file.chunks.map(({ blobOffset, blobLength, size, digest }) => {
    const plain = unpack(blob.subarray(blobOffset, blobOffset + blobLength)).subarray(0, size);
    assert.equal(sha256(plain), digest);
    return plain;
  });
  assert.ok(Buffer.concat(parts).equals(large));
  assert.ok(!entries.some((entry) => entry.path.startsWith('dev')));
}

test('the plain tar comes out of every compression, however it is cut', async () => {
  const tar = rawTar([{ name: 'file', body: randomBytes(70_000) }]);
  for (const packed of [tar, gzipSync(tar), zstdCompressSync(tar)]) {
    const cuts = Readable.from([packed.subarray(0, 1), packed.subarray(1, 3), packed.subarray(3)]);
    const parts: Buffer[] = [];
    for await (const part of plainTar(cuts)) parts.push(part);
    assert.ok(Buffer.concat(parts).equals(tar));
  }
  await assert.rejects(async () => {
    for await (const part of plainTar(Readable.from([gzipSync(tar).subarray(0, 5000)]))) assert.ok(part);
  }, codeIs('INVALID_IMAGE'));
});

test('the footer tells where the table of contents begins', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), (offset) => {
      const bytes = footer(offset);
      assert.equal(bytes.length, 51);
      assert.equal(gunzipSync(bytes).length, 0);
      assert.equal(tocOffsetOf(bytes), offset);
    }),
  );
  assert.equal(tocOffsetOf(Buffer.alloc(51)), undefined);
});

const codeIs =
  (code: string) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof ThawError, String(error));
    assert.equal(error.code, code);
    return true;
  };

const HOSTILE: Readonly<Record<string, readonly RawEntry[]>> = {
  'a path that climbs out': [{ name: '../../outside', body: 'x' }],
  'a path that climbs out in the middle': [{ name: 'a/../../outside', body: 'x' }],
  'a hard link that climbs out': [{ name: 'a', type: '1', linkName: '../../etc/passwd' }],
  'a character device': [{ name: 'etc/mem', type: '3', device: [1, 1] }],
  'a block device': [{ name: 'tmp/sda', type: '4', device: [8, 0] }],
  'a giant header': [{ name: 'x', type: 'x', size: 2 ** 30 }],
  'a giant long name': [{ name: 'x', type: 'L', size: 2 ** 30 }],
  'headers without end': Array.from({ length: 40 }, () => ({ name: 'x', type: 'L', body: 'name' })),
  'a name of many bytes': [{ name: 'x', body: '', pax: { path: 'a'.repeat(300) } }],
  'an endless depth': [{ name: 'x', body: '', pax: { path: 'a/'.repeat(2000) } }],
  'a NUL in a name': [{ name: 'x', body: '', pax: { path: 'a\0b' } }],
  'a sparse file': [{ name: 'x', body: '', pax: { 'GNU.sparse.major': '1' } }],
  'an unknown type': [{ name: 'x', type: 'Z' }],
  'a link to nowhere': [{ name: 'x', type: '2', linkName: '' }],
  'an attribute too large': [{ name: 'x', pax: { 'SCHILY.xattr.user.a': Buffer.alloc(70_000) } }],
  'a tar that ends in a file': [{ name: 'x', body: 'short', size: 100_000 }],
};

test('what no honest layer has is refused', async (t) => {
  for (const [what, entries] of Object.entries(HOSTILE)) {
    await t.test(what, async (inner) => {
      await assert.rejects(convert(inner, rawTar(entries)), codeIs('INVALID_IMAGE'));
    });
  }
  await t.test('a header with a wrong checksum', async (inner) => {
    const tar = rawTar([{ name: 'x', body: 'y' }]);
    tar[0] = 0x21;
    await assert.rejects(convert(inner, tar), codeIs('INVALID_IMAGE'));
  });
});

test('bombs are refused before they fill anything', async (t) => {
  const limits = { unpackedBytesMax: 1024 * 1024, entriesMax: 10 };
  const many = Array.from({ length: 11 }, (_, at) => ({ name: `f${at}` }));
  await assert.rejects(convert(t, rawTar(many), { limits }), codeIs('IMAGE_TOO_LARGE'));
  const bomb = gzipSync(rawTar([{ name: 'zeros', body: Buffer.alloc(2 ** 21) }]));
  await assert.rejects(convert(t, bomb, { limits }), codeIs('IMAGE_TOO_LARGE'));
  const claims = rawTar([{ name: 'x', size: 2 ** 32 }]);
  await assert.rejects(convert(t, claims, { limits }), codeIs('IMAGE_TOO_LARGE'));
  const tail = Buffer.concat([rawTar([]), Buffer.alloc(2 ** 21)]);
  await assert.rejects(convert(t, gzipSync(tail), { limits }), codeIs('IMAGE_TOO_LARGE'));
});

test('a table of contents that is not the promised one is refused', async (t) => {
  const other = `sha256:${'0'.repeat(64)}`;
  for (const [name, { format }] of Object.entries(KINDS)) {
    await t.test(name, async (inner) => {
      const { layer, blob } = await convert(inner, rawTar([{ name: 'file', body: 'text' }]), { format });
      const cut = blob.subarray(0, -1);
      await assert.rejects(readLayer(reading(blob), other), codeIs('IMAGE_CORRUPT'));
      await assert.rejects(readLayer(reading(cut), layer.tocDigest), codeIs('INVALID_IMAGE'));
      await assert.rejects(readLayer(reading(blob.subarray(-40)), layer.tocDigest), codeIs('INVALID_IMAGE'));
      for (const offset of [blob.length, 2 ** 40]) {
        const beyond = Buffer.concat([
          blob,
          (await format.blobEnd(Buffer.from('{}'), { start: offset, end: offset })).subarray(-51),
        ]);
        await assert.rejects(readLayer(reading(beyond), layer.tocDigest), codeIs('INVALID_IMAGE'));
      }
    });
  }
});

test('any bytes at all are read or refused, never more', async (t) => {
  const path = join(await temporaryDirectory(t), 'any');
  const honest = rawTar([{ name: 'a', body: 'b', pax: { path: 'c' } }]);
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(honest.length - 1), fc.nat(255)), { maxLength: 8 }),
      async (changes) => {
        const tar = Buffer.from(honest);
        for (const [at, byte] of changes) tar[at] = byte;
        await writeFile(path, '');
        const file = await open(path, 'r+');
        try {
          await convertLayer(plainTar(Readable.from([tar])), file, zstdChunked, {
            unpackedBytesMax: 2 ** 20,
            entriesMax: 10,
          });
        } catch (error) {
          assert.ok(error instanceof ThawError);
        } finally {
          await file.close();
        }
      },
    ),
    { numRuns: 100 },
  );
});
