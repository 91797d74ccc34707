import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { ZipFile } from 'yazl';
import { ManualClock } from '../base/clock.ts';
import { FileBlobs } from '../store/file-blobs.ts';
import { CodeChecksum } from './code-checksum.ts';
import { CodeStore } from './code-store.ts';

const GRACE_MS = 60_000;

async function temporaryStore() {
  const path = await mkdtemp(join(tmpdir(), 'thaw-code-'));
  const clock = new ManualClock(Date.now());
  const blobs = new FileBlobs(join(path, 'blobs'));
  const open = () => CodeStore.open({ dataDirectory: path, blobs, clock, collectGraceMs: GRACE_MS });
  return {
    path,
    clock,
    blobs,
    open,
    store: await open(),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true }),
  };
}

function zipOf(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const zip = new ZipFile();
  for (const [name, text] of Object.entries(files)) {
    if (text.startsWith('-> '))
      zip.addBuffer(Buffer.from(text.slice(3)), name, {
        mode: 0o120777,
        compress: false,
        mtime: new Date(0),
      });
    else zip.addBuffer(Buffer.from(text), name, { mtime: new Date(0) });
  }
  zip.end();
  return buffer(zip.outputStream);
}

const code = (expected: string) => (error: unknown) => error instanceof ThawError && error.code === expected;

const read = (directory: string | undefined, name: string) => readFile(join(directory ?? '', name), 'utf8');

describe('CodeStore', () => {
  it('stores, unpacks and sums up a zip; concurrent adds share the directory', async () => {
    await using t = await temporaryStore();
    const zip = await zipOf({ 'index.js': 'one' });
    const refs = await Promise.all([t.store.add(zip), t.store.add(Readable.from([zip])), t.store.add(zip)]);
    const [ref] = refs;
    assert.deepEqual(refs, [ref, ref, ref]);
    assert.equal(ref.size, zip.length);
    assert.equal(ref.checksum, new CodeChecksum().update(zip).decimal());
    const directory = await t.store.directory(ref);
    assert.equal(directory, join(t.path, 'code', ref.zipDigest));
    assert.deepEqual(await readdir(join(t.path, 'code')), [ref.zipDigest]);
    assert.deepEqual(await readFile(t.store.zipFile(ref)), zip);

    await rm(directory, { recursive: true });
    assert.equal(await readFile(join(await t.store.directory(ref), 'index.js'), 'utf8'), 'one');
  });

  it('leaves nothing unpacked of a bad zip, bounds the upload, and says when code is missing', async () => {
    await using t = await temporaryStore();
    await assert.rejects(t.store.add(Buffer.from('no zip')), code('INVALID_CODE_PACKAGE'));
    await assert.rejects(t.store.add(await zipOf({ a: 'a' }), 10), code('PAYLOAD_TOO_LARGE'));
    assert.deepEqual(await readdir(join(t.path, 'code')), []);
    assert.deepEqual(await t.blobs.list(), []);
    const ref = { zipDigest: '0'.repeat(64), size: 1, checksum: '0' };
    await assert.rejects(t.store.directory(ref), code('STORE_FAILED'));
  });

  it('merges layers: the first wins, files are shared, a file hides a directory', async () => {
    await using t = await temporaryStore();
    const one = await t.store.add(
      await zipOf({ 'lib/a': 'one', 'lib/only-one': '1', clash: 'file', 'lib/link': '-> a' }),
    );
    const two = await t.store.add(
      await zipOf({ 'lib/a': 'two', 'lib/only-two': '2', 'clash/x': 'x', 'bin/y': 'y' }),
    );
    assert.equal(await t.store.layerDirectory([]), undefined);
    assert.equal(await t.store.layerDirectory([one]), await t.store.directory(one));
    const [merged, same] = await Promise.all([
      t.store.layerDirectory([one, two]),
      t.store.layerDirectory([one, two]),
    ]);
    assert.equal(merged, same);
    assert.equal(await read(merged, 'lib/a'), 'one');
    assert.equal(await read(merged, 'lib/link'), 'one');
    assert.equal(await read(merged, 'lib/only-two'), '2');
    assert.equal(await read(merged, 'clash'), 'file');
    assert.equal((await stat(join(merged ?? '', 'bin/y'))).nlink, 2);
    const reversed = await t.store.layerDirectory([two, one]);
    assert.notEqual(reversed, merged);
    assert.equal(await read(reversed, 'lib/a'), 'two');
    assert.equal(await read(reversed, 'clash/x'), 'x');
  });

  it('refuses layers whose links lead out together', async () => {
    await using t = await temporaryStore();
    const one = await t.store.add(await zipOf({ x: '-> s/..', s: '-> t' }));
    const two = await t.store.add(await zipOf({ t: '-> .' }));
    await assert.rejects(
      t.store.layerDirectory([one, two]),
      (error) => error instanceof ThawError && error.code === 'INVALID_CODE_PACKAGE',
    );
    assert.deepEqual(await readdir(join(t.path, 'layers')), []);
  });

  it('collects what nothing names once it is older than the grace', async () => {
    await using t = await temporaryStore();
    const [live, layer, other, garbage] = await Promise.all(
      ['live', 'layer', 'other', 'garbage'].map(async (text) => t.store.add(await zipOf({ text }))),
    );
    assert.ok(live && layer && other && garbage);
    await t.store.layerDirectory([layer, other]);
    await t.store.layerDirectory([other, layer]);
    const named = { codes: [live], layerSets: [[layer, other]] };
    assert.deepEqual(await t.store.collect(named), { packages: 0, layerSets: 0, blobs: 0 });
    t.clock.advance(2 * GRACE_MS);
    assert.deepEqual(await t.store.collect(named), { packages: 1, layerSets: 1, blobs: 1 });
    assert.equal(t.blobs.path(garbage.zipDigest), undefined);
    for (const ref of [live, layer, other]) await t.store.directory(ref);
  });

  it('keeps old garbage that was added again', async () => {
    await using t = await temporaryStore();
    const zip = await zipOf({ a: 'a' });
    const { zipDigest } = await t.store.add(zip);
    const longAgo = t.clock.now() / 1000 - 3600;
    for (const path of [join(t.path, 'code', zipDigest), t.blobs.path(zipDigest) ?? '']) {
      await utimes(path, longAgo, longAgo);
    }
    const ref = await t.store.add(zip);
    const collected = await t.store.collect({ codes: [], layerSets: [] });
    assert.deepEqual(collected, { packages: 0, layerSets: 0, blobs: 0 });
    await t.store.directory(ref);
  });

  it('clears at open what an interrupted unpack left', async () => {
    await using t = await temporaryStore();
    const ref = await t.store.add(await zipOf({ a: 'a' }));
    for (const place of ['code', 'layers']) {
      await mkdir(join(t.path, place, '.tmp-0123'));
      await writeFile(join(t.path, place, '.tmp-0123', 'half'), 'half');
    }
    await t.open();
    assert.deepEqual(await readdir(join(t.path, 'code')), [ref.zipDigest]);
    assert.deepEqual(await readdir(join(t.path, 'layers')), []);
  });
});
