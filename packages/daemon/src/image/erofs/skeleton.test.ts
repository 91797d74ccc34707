import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { afterTest } from '@thaw/testkit/after-test.ts';
import { temporaryDirectory } from '@thaw/testkit/platform.ts';
import { convertLayer, type ConvertedLayer } from '../layer/convert-layer.ts';
import { plainTar } from '../layer/plain-tar.ts';
import { rawTar, type RawEntry } from '../layer/tar-writer.ts';
import { estargz } from '../layer/estargz-format.ts';
import { filledImage } from './filled-image.ts';
import { mergeLayers } from './merge-layers.ts';
import { writeSkeleton, type Skeleton } from './write-skeleton.ts';

const asIs = (id: number): number => id;

async function convert(t: TestContext, tar: Buffer): Promise<{ layer: ConvertedLayer; blob: Buffer }> {
  const path = join(await temporaryDirectory(t), 'layer');
  const file = await open(path, 'wx');
  try {
    const layer = await convertLayer(plainTar(Readable.from([tar])), file, estargz);
    return { layer, blob: await readFile(path) };
  } finally {
    await file.close();
  }
}

function whyNoOracle(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root to mount';
  const missing = ['fsck.erofs', 'python3'].find((name) => spawnSync(name, ['--help']).error !== undefined);
  return missing === undefined ? undefined : `not installed: ${missing}`;
}

/** A tree with what real images have: deep and wide directories, links, owners, modes, times, attributes, large files. */
function layers(): RawEntry[][] {
  const wide = Array.from({ length: 700 }, (_, at) => ({
    name: `wide/entry-with-a-rather-long-name-${at}`,
    body: `content ${at}`,
  }));
  const lower: RawEntry[] = [
    { name: './', type: '5', mode: 0o755 },
    { name: 'bin/', type: '5', mode: 0o755 },
    { name: 'bin/large', body: randomBytes(1_300_001), mode: 0o4755, pax: { mtime: '1700000001.123456789' } },
    { name: 'bin/old', body: 'goes away' },
    { name: 'bin/zero' },
    { name: 'bin/block', body: randomBytes(4096) },
    { name: 'bin/same', type: '1', linkName: 'bin/large' },
    { name: 'link', type: '2', linkName: 'bin/large' },
    { name: 'long-link', type: '2', linkName: 'x', pax: { linkpath: 'y/'.repeat(2030) } },
    { name: 'middling-link', type: '2', linkName: 'x', pax: { linkpath: 'z/'.repeat(1000) } },
    { name: 'pipe', type: '6', mode: 0o600 },
    { name: 'owned', body: 'x', uid: 1234, gid: 4321, mtimeS: 1 },
    { name: 'wide/', type: '5', mode: 0o1777 },
    ...wide,
    { name: '!before-dot', body: 'sorts before the dots' },
    { name: 'umlaut', pax: { path: 'über/größe' }, body: 'ü' },
    {
      name: 'capable',
      body: 'x',
      pax: {
        'SCHILY.xattr.security.capability': Buffer.from('0100000280ff00ff000000000000000000000000', 'hex'),
        'SCHILY.xattr.user.note': 'a note',
        'SCHILY.xattr.trusted.overlay.opaque': 'y',
      },
    },
  ];
  const upper: RawEntry[] = [
    { name: 'bin/.wh.old' },
    { name: 'bin/new', body: randomBytes(600_000) },
    { name: 'linked', type: '1', linkName: 'bin/block' },
    { name: 'wide/.wh..wh..opq' },
    { name: 'wide/only', body: 'this one' },
    { name: 'deep/', type: '5' },
    { name: 'deep/er/', type: '5' },
    { name: 'deep/er/est', body: 'down' },
  ];
  return [lower, upper];
}

/** Every name with its kind, mode, owner, links, size, time and target. */
function listing(directory: string): string {
  const format = '%P|%y|%m|%U|%G|%n|%s|%T@|%l\\n';
  const found = execFileSync('find', [directory, '-printf', format], { maxBuffer: 2 ** 26 }).toString();
  // The size of a directory is the file system's own affair.
  return found
    .split('\n')
    .map((line) => (line.split('|')[1] === 'd' ? line.split('|').toSpliced(6, 1).join('|') : line))
    .toSorted()
    .join('\n');
}

test('the kernel and fsck read what unpacking gives', { skip: whyNoOracle() }, async (t) => {
  const directory = await temporaryDirectory(t);
  const [lower = [], upper = []] = layers();
  const converted = [await convert(t, rawTar(lower)), await convert(t, rawTar(upper))];
  const skeleton = writeSkeleton(mergeLayers(converted.map(({ layer }) => layer.entries)), asIs);
  const image = join(directory, 'image.erofs');
  writeFileSync(
    image,
    filledImage(
      skeleton,
      converted.map(({ blob }) => blob),
    ),
  );
  execFileSync('fsck.erofs', [image], { stdio: 'pipe' });

  // The other way to the same tree: tar unpacks, a shell applies the whiteouts.
  const unpacked = join(directory, 'unpacked');
  mkdirSync(unpacked);
  const untar = (entries: readonly RawEntry[]): void => {
    const flags = ['-x', '-p', '--same-owner', '--xattrs', '--xattrs-include=*', '-C', unpacked];
    execFileSync('tar', flags, { input: rawTar(entries), stdio: 'pipe' });
  };
  untar(lower);
  execFileSync('sh', ['-c', 'rm bin/old; rm -r wide/*'], { cwd: unpacked });
  untar(upper.filter(({ name }) => !name.includes('.wh.')));
  const wideMtime = '2023-11-14T22:13:20Z';
  for (const name of ['wide', 'bin', 'über', '.', 'deep', 'deep/er'])
    execFileSync('touch', ['-d', wideMtime, join(unpacked, name)]);

  const mounted = join(directory, 'mounted');
  mkdirSync(mounted);
  execFileSync('mount', ['-t', 'erofs', '-o', 'ro,loop', image, mounted]);
  afterTest(t, () => execFileSync('umount', [mounted]));
  assert.equal(listing(mounted), listing(unpacked));
  execFileSync('diff', ['-r', '--no-dereference', '--exclude=pipe', mounted, unpacked]);
  const script = `import os
for name in sorted(os.listxattr('capable')):
    if 'overlay' not in name: print(name, os.getxattr('capable', name).hex())`;
  const attributes = (root: string): string =>
    execFileSync('python3', ['-c', script], { cwd: root }).toString();
  assert.equal(attributes(mounted), attributes(unpacked));
  assert.match(attributes(mounted), /^security.capability 0100000280ff/u);
  const names = execFileSync('python3', ['-c', "import os; print(os.listxattr('capable'))"], {
    cwd: mounted,
  });
  assert.ok(!names.includes('overlay'), 'an image gives no orders to an overlay file system');
});

test('every size of directory, link and attribute fits, and the whole is the same each time', async (t) => {
  const entries: RawEntry[] = Array.from({ length: 4000 }, (_, at) => ({
    name: `d${at % 40}/${'n'.repeat(1 + (at % 90))}${at}`,
    ...(at % 3 === 0
      ? { type: '2', linkName: 'l'.repeat(1 + (at % 97)) }
      : { body: 'b'.repeat(at % 9), pax: { 'SCHILY.xattr.user.x': 'v'.repeat(1 + ((at * 7) % 5000)) } }),
  }));
  const { layer, blob } = await convert(t, rawTar(entries));
  const skeleton: Skeleton = writeSkeleton(mergeLayers([layer.entries]), (id) => id + 1000);
  const again = writeSkeleton(mergeLayers([layer.entries]), (id) => id + 1000);
  assert.ok(skeleton.bytes.equals(again.bytes));
  assert.equal(skeleton.inodes, 4041);
  let end = skeleton.bytes.length;
  for (const chunk of skeleton.chunks) {
    assert.ok(chunk.at >= end);
    end = chunk.at + chunk.size;
  }
  assert.ok(skeleton.size >= end);
  if (whyNoOracle() !== undefined) return;
  const image = join(await temporaryDirectory(t), 'image');
  writeFileSync(image, filledImage(skeleton, [blob]));
  execFileSync('fsck.erofs', [image], { stdio: 'pipe' });
  assert.ok(existsSync(image));
});
