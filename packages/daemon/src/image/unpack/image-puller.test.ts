import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { tar, writeOciLayout, type SampleImage, type TarEntry } from '@thaw/testkit/oci-layout.ts';
import type { ErrorCode } from '@thaw/protocol/error-code.ts';
import type { BlobSource } from '../blob-source.ts';
import { IMAGE_IDS_FIRST } from '../image-ids.ts';
import { LayoutSource } from '../oci/layout-source.ts';
import { readImage } from '../oci/read-image.ts';
import { ImagePuller, type PullLimits } from './image-puller.ts';

const isRoot = process.getuid?.() === 0;

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'thaw-pull-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Pulls a sample image; everything is below one directory, whose listing outside `images` shows what got out. */
async function pull(
  t: TestContext,
  image: SampleImage,
  limits?: PullLimits,
): Promise<{ root: string; base: string }> {
  const base = directory(t);
  return { base, root: await pullInto(base, image, limits) };
}

async function pullInto(base: string, image: SampleImage, limits?: PullLimits): Promise<string> {
  await writeOciLayout(join(base, 'layout'), image);
  const source = layoutSource(base);
  return await new ImagePuller(join(base, 'images'), limits).pull(await readImage(source), source);
}

function layoutSource(base: string): LayoutSource {
  return new LayoutSource({
    kind: 'layout',
    directory: join(base, 'layout'),
    tag: 'latest',
    digest: undefined,
  });
}

const file = (name: string, content: string, more: Partial<TarEntry> = {}): TarEntry => ({
  name,
  content,
  ...more,
});
const symlink = (name: string, linkname: string): TarEntry => ({ name, type: 'symlink', linkname });
const folder = (name: string, more: Partial<TarEntry> = {}): TarEntry => ({
  name,
  type: 'directory',
  ...more,
});

test('layers are merged: files, links, whiteouts and opaque directories', async (t) => {
  const { root } = await pull(t, {
    layers: [
      [
        folder('etc'),
        file('etc/kept', 'kept'),
        file('etc/gone', 'gone'),
        folder('data'),
        file('data/old', 'old'),
        folder('data/deep'),
        file('data/deep/old', 'old'),
        folder('usr'),
        folder('usr/lib'),
        symlink('lib', 'usr/lib'),
        symlink('abs', '/usr/lib'),
        file('changes', 'a file'),
      ],
      [
        file('etc/.wh.gone', ''),
        file('data/.wh..wh..opq', ''),
        file('data/new', 'new'),
        file('lib/through', 'written through a link'),
        file('abs/absolute', 'inside'),
        { name: 'hard', type: 'link', linkname: 'etc/kept' },
        folder('changes'),
        file('changes/now', 'a directory'),
      ],
    ],
  });
  assert.deepEqual(readdirSync(join(root, 'etc')), ['kept']);
  assert.deepEqual(readdirSync(join(root, 'data')), ['new']);
  assert.equal(readFileSync(join(root, 'usr/lib/through'), 'utf8'), 'written through a link');
  assert.equal(readFileSync(join(root, 'usr/lib/absolute'), 'utf8'), 'inside');
  assert.equal(readlinkSync(join(root, 'abs')), '/usr/lib');
  assert.equal(statSync(join(root, 'hard')).ino, statSync(join(root, 'etc/kept')).ino);
  assert.equal(readFileSync(join(root, 'changes/now'), 'utf8'), 'a directory');
});

test('a whiteout is meant for lower layers, wherever it stands in its own', async (t) => {
  const { root } = await pull(t, {
    layers: [
      [folder('a'), file('a/lower', ''), folder('b'), file('b/lower', '')],
      [file('a/own', ''), file('a/.wh..wh..opq', ''), folder('b'), file('b/own', ''), file('.wh.b', '')],
    ],
  });
  assert.deepEqual(readdirSync(join(root, 'a')), ['own']);
  assert.deepEqual(readdirSync(join(root, 'b')), ['own']);
});

test('modes, times and owners are those of the image', async (t) => {
  const mtime = new Date(1_500_000_000_000);
  const { root } = await pull(t, {
    layers: [
      [
        folder('home', { mode: 0o750, uid: 7, gid: 8, mtime }),
        file('home/run', '#!', { mode: 0o4755, uid: 7, gid: 8, mtime }),
        { ...symlink('home/link', 'run'), uid: 7, gid: 8, mtime },
        file('big', '', { uid: 2_100_000, gid: 5 }),
      ],
    ],
  });
  const [home, run, link] = ['home', 'home/run', 'home/link'].map((name) => lstatSync(join(root, name)));
  assert.ok(home !== undefined && run !== undefined && link !== undefined);
  for (const stats of [home, run, link]) {
    assert.equal(stats.mtimeMs, mtime.getTime());
    if (isRoot) assert.deepEqual([stats.uid, stats.gid], [IMAGE_IDS_FIRST + 7, IMAGE_IDS_FIRST + 8]);
  }
  assert.equal(home.mode & 0o7777, isRoot ? 0o750 : 0o750);
  // Where files belong to the platform's own user, none may lend its rights.
  assert.equal(run.mode & 0o7777, isRoot ? 0o4755 : 0o755);
});

for (const compression of ['gzip', 'zstd', 'none'] as const) {
  test(`layers may be compressed with ${compression}`, async (t) => {
    const { root } = await pull(t, { compression, layers: [[file('a', 'content of a')]] });
    assert.equal(readFileSync(join(root, 'a'), 'utf8'), 'content of a');
  });
}

const HOSTILE: Readonly<Record<string, readonly [ErrorCode, RegExp, SampleImage['layers']]>> = {
  'a path that climbs out': ['INVALID_IMAGE', /its name leads out/u, [[file('../outside', 'x')]]],
  'a path that climbs out further down': [
    'INVALID_IMAGE',
    /its name leads out/u,
    [[file('a/../../outside', 'x')]],
  ],
  'a hard link out of the tree': [
    'INVALID_IMAGE',
    /its name leads out/u,
    [[{ name: 'x', type: 'link', linkname: '../../layout/index.json' }]],
  ],
  'a hard link to a file of the host': [
    'INVALID_IMAGE',
    /hard link to "\/etc\/passwd", which is not there/u,
    [[{ name: 'x', type: 'link', linkname: '/etc/passwd' }]],
  ],
  'a hard link through a link out of the tree': [
    'INVALID_IMAGE',
    /which is not there/u,
    [[symlink('out', '/etc'), { name: 'x', type: 'link', linkname: 'out/passwd' }]],
  ],
  'a device': [
    'INVALID_IMAGE',
    /it is a device/u,
    [[{ name: 'disk', type: 'block-device', devmajor: 8, devminor: 0 }]],
  ],
  'a file below a file': ['INVALID_IMAGE', /no directory/u, [[file('a', ''), file('a/b', '')]]],
  'links in a circle': [
    'INVALID_IMAGE',
    /too many links/u,
    [[symlink('a', 'b'), symlink('b', 'a'), file('a/x', '')]],
  ],
  'the root as a link': ['INVALID_IMAGE', /replaces the root/u, [[symlink('.', '/etc')]]],
  'a whiteout of the parent': ['INVALID_IMAGE', /removes no name/u, [[folder('a'), file('a/.wh...', '')]]],
  'a name that is too long': ['INVALID_IMAGE', /its path cannot be|too long/u, [[file('n'.repeat(300), '')]]],
  'bytes that are no tar': ['INVALID_IMAGE', /layer sha256/u, [Buffer.alloc(2048, 'x')]],
};

for (const [what, [code, message, layers]] of Object.entries(HOSTILE)) {
  test(`refused, with nothing written outside: ${what}`, async (t) => {
    const base = directory(t);
    await assert.rejects(
      () => pullInto(base, { layers }),
      (error) => error instanceof ThawError && error.code === code && message.test(error.message),
    );
    assert.deepEqual(readdirSync(base).toSorted(), ['images', 'layout']);
    assert.deepEqual(readdirSync(join(base, 'images/roots')), []);
    assert.equal(existsSync('/etc/x'), false);
  });
}

test('links out of the tree are kept as they are and never written through', async (t) => {
  const base = directory(t);
  writeFileSync(join(base, 'victim'), 'untouched');
  const root = await pullInto(base, {
    layers: [
      [
        symlink('up', '../../..'),
        file('up/victim', 'inside'),
        symlink('direct', join(base, 'victim')),
        file('direct', 'a file in its place'),
      ],
    ],
  });
  assert.equal(readFileSync(join(base, 'victim'), 'utf8'), 'untouched');
  assert.equal(readFileSync(join(root, 'victim'), 'utf8'), 'inside');
  assert.equal(readFileSync(join(root, 'direct'), 'utf8'), 'a file in its place');
});

test('what base systems keep in /dev is left out', async (t) => {
  const { root } = await pull(t, {
    layers: [
      [
        folder('dev'),
        { name: 'dev/null', type: 'character-device', devmajor: 1, devminor: 3 },
        { name: 'pipe', type: 'fifo' },
      ],
    ],
  });
  assert.deepEqual(readdirSync(join(root, 'dev')), []);
  assert.deepEqual(readdirSync(root), ['dev']);
});

test('an extended header without end is refused', async (t) => {
  const header = Buffer.from((await tar([{ name: 'x', type: 'file' }])).subarray(0, 512));
  header.write('x', 156);
  header.write('77777777777\0', 124);
  header.write('        ', 148);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  await assert.rejects(
    () => pull(t, { layers: [Buffer.concat([header, Buffer.alloc(1024 * 1024)])] }),
    (error) =>
      error instanceof ThawError && error.code === 'INVALID_IMAGE' && /exceeds max size/u.test(error.message),
  );
});

test('bombs end at their bound: bytes, entries', async (t) => {
  const big = { name: 'zeros', content: Buffer.alloc(8 * 1024 * 1024) };
  const limits = { bytesMax: 4 * 1024 * 1024, entriesMax: 10 };
  const tooLarge = (error: unknown): boolean =>
    error instanceof ThawError && error.code === 'IMAGE_TOO_LARGE';
  await assert.rejects(() => pull(t, { layers: [[big]] }, limits), tooLarge);
  const many = Array.from({ length: 11 }, (_, at) => file(`f${at}`, ''));
  await assert.rejects(() => pull(t, { layers: [many] }, limits), tooLarge);
});

test('a layer whose tar is not the one of its diffId is refused', async (t) => {
  const diffIds = [`sha256:${'0'.repeat(64)}`];
  await assert.rejects(
    () => pull(t, { layers: [[file('a', 'b')]], diffIds }),
    (error) => error instanceof ThawError && error.code === 'IMAGE_CORRUPT',
  );
});

test('a blob with other bytes than its digest says is refused and not kept', async (t) => {
  const base = directory(t);
  const { layers } = await writeOciLayout(join(base, 'layout'), { layers: [[file('a', 'b')]] });
  const blob = join(base, 'layout/blobs/sha256', (layers[0]?.digest ?? '').slice('sha256:'.length));
  const source = layoutSource(base);
  const image = await readImage(source);
  writeFileSync(blob, Buffer.alloc(statSync(blob).size, 'x'));
  await assert.rejects(
    () => new ImagePuller(join(base, 'images')).pull(image, source),
    (error) => error instanceof ThawError && error.code === 'IMAGE_CORRUPT',
  );
  assert.deepEqual(readdirSync(join(base, 'images/blobs')), []);
});

test('pulls at once share the fetching of a layer and the making of an image', async (t) => {
  const base = directory(t);
  const shared = [file('shared', 'x'.repeat(100_000))];
  await writeOciLayout(join(base, 'layout'), { layers: [shared, [file('one', '1')]], tag: 'one' });
  await writeOciLayout(join(base, 'layout'), { layers: [shared, [file('two', '2')]], tag: 'two' });
  const fetched: string[] = [];
  const counting = (tag: string): BlobSource => {
    const source = new LayoutSource({
      kind: 'layout',
      directory: join(base, 'layout'),
      tag,
      digest: undefined,
    });
    return {
      name: source.name,
      manifest: (reference) => source.manifest(reference),
      blob: (descriptor, options) => {
        fetched.push(descriptor.digest);
        return source.blob(descriptor, options);
      },
      close: () => source.close(),
    };
  };
  const puller = new ImagePuller(join(base, 'images'));
  const [one, two] = await Promise.all(['one', 'two'].map((tag) => readImage(counting(tag))));
  assert.ok(one !== undefined && two !== undefined);
  fetched.length = 0;
  const roots = await Promise.all(
    [one, two, one, two].map((image) => puller.pull(image, counting(image === one ? 'one' : 'two'))),
  );
  assert.equal(new Set(roots).size, 2);
  assert.equal(fetched.length, 3);
});

const oracle = ['umoci', 'skopeo'].find((name) => spawnSync(name, ['--version']).error !== undefined);

test(
  'umoci unpacks the same tree',
  { skip: oracle === undefined ? false : `not installed: ${oracle}` },
  async (t) => {
    const base = directory(t);
    const root = await pullInto(base, {
      layers: [
        [
          folder('etc'),
          file('etc/a', 'a', { mode: 0o640 }),
          file('etc/b', 'b'),
          symlink('sh', '/etc/a'),
          folder('x'),
          file('x/y', ''),
        ],
        [
          file('etc/.wh.b', ''),
          folder('x', { mode: 0o700 }),
          file('x/z', 'z'),
          { name: 'h', type: 'link', linkname: 'etc/a' },
        ],
      ],
    });
    execFileSync(
      'umoci',
      [
        'unpack',
        ...(isRoot ? [] : ['--rootless']),
        '--image',
        `${join(base, 'layout')}:latest`,
        join(base, 'bundle'),
      ],
      { stdio: 'ignore' },
    );
    const listing = (path: string): string =>
      execFileSync('find', ['.', '-mindepth', '1', '-printf', '%P %y %m %s %l\\n'], {
        cwd: path,
        encoding: 'utf8',
      })
        .split('\n')
        .filter((line) => !/^\S+ d /u.test(line))
        .toSorted()
        .join('\n');
    assert.equal(
      spawnSync('diff', ['-r', '--no-dereference', root, join(base, 'bundle/rootfs')]).stdout.toString(),
      '',
    );
    assert.equal(listing(root), listing(join(base, 'bundle/rootfs')));
  },
);

test('a gzip that ends too early is refused', async (t) => {
  const whole = gzipSync(await tar([file('a', 'x'.repeat(10_000))]));
  await assert.rejects(
    () => pull(t, { compression: 'none', layers: [whole.subarray(0, whole.length - 20)] }),
    (error) => error instanceof ThawError && error.code === 'INVALID_IMAGE',
  );
});
