import assert from 'node:assert/strict';
import { existsSync, readdirSync, writeFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { afterTest } from '@thaw/testkit/after-test.ts';
import { writeOciLayout, type TarEntry } from '@thaw/testkit/oci-layout.ts';
import { temporaryDirectory } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import type { MountRequest } from '../image-mounter.ts';
import type { LayoutReference } from '../image-reference.ts';
import { LayoutSource } from '../oci/layout-source.ts';
import { readImage } from '../oci/read-image.ts';
import { FullPullMounter } from './full-pull-mounter.ts';

interface World {
  readonly images: string;
  readonly mounter: FullPullMounter;
  request(tag: string): Promise<MountRequest>;
  write(tag: string, layers: readonly (readonly TarEntry[])[]): Promise<void>;
  names(directory: 'roots' | 'blobs'): string[];
}

async function open(t: TestContext): Promise<World> {
  const base = await temporaryDirectory(t);
  const layout = join(base, 'layout');
  const images = join(base, 'images');
  const mounter = await FullPullMounter.open({ directory: images, insecureRegistries: [] });
  afterTest(t, () => mounter.close());
  return {
    images,
    mounter,
    write: async (tag, layers) => {
      await writeOciLayout(layout, { layers, tag });
    },
    request: async (tag) => {
      const reference: LayoutReference = { kind: 'layout', directory: layout, tag, digest: undefined };
      const image = await readImage(new LayoutSource(reference));
      return { image, reference, setting: {}, versionKey: 'f@1' };
    },
    names: (directory) => readdirSync(join(images, directory)).toSorted(),
  };
}

const SHARED: readonly TarEntry[] = [{ name: 'shared', content: 'in both' }];

test('an image is pulled once, shared, and says how it came', async (t) => {
  const world = await open(t);
  await world.write('a', [SHARED, [{ name: 'a', content: 'a' }]]);
  const request = await world.request('a');
  const [one, two] = await Promise.all([world.mounter.mount(request), world.mounter.mount(request)]);
  assert.equal(one.path, two.path);
  assert.deepEqual(readdirSync(one.path), ['a', 'shared']);
  const third = await world.mounter.mount(request);
  assert.deepEqual([one.reason, third.reason], ['the whole image was pulled', 'the whole image is on disk']);
  for (const root of [one, two, third]) root.release();
});

test('images and layers go with the last version that names them, not under an instance', async (t) => {
  const world = await open(t);
  await world.write('a', [SHARED, [{ name: 'a', content: 'a' }]]);
  await world.write('b', [SHARED, [{ name: 'b', content: 'b' }]]);
  const [a, b] = [await world.request('a'), await world.request('b')];
  const [mountedA, mountedB] = [await world.mounter.mount(a), await world.mounter.mount(b)];
  mountedB.release();
  assert.equal(world.names('blobs').length, 3);
  // Nothing names either any more, but an instance runs from one.
  assert.equal(await world.mounter.collect(new Set()), 1);
  assert.equal(existsSync(mountedB.path), false);
  assert.equal(existsSync(mountedA.path), true);
  assert.deepEqual(world.names('blobs'), a.image.layers.map(({ digest }) => digest.slice(7)).toSorted());
  mountedA.release();
  assert.equal(await world.mounter.collect(new Set([a.image.digest])), 0);
  assert.equal(await world.mounter.collect(new Set()), 1);
  assert.deepEqual([...world.names('roots'), ...world.names('blobs')], []);
});

test('a process that dies over a pull fails it, and the next one does it', async (t) => {
  const world = await open(t);
  await world.write('a', [SHARED]);
  const request = await world.request('a');
  const mounting = world.mounter.mount(request);
  const settled = mounting.then(
    (root) => root,
    (error: unknown) => error,
  );
  const pid = world.mounter.pullerPid;
  assert.ok(pid !== undefined);
  process.kill(pid, 'SIGKILL');
  const outcome = await settled;
  assert.ok(
    outcome instanceof Error && 'code' in outcome && outcome.code === 'REGISTRY_FAILED',
    String(outcome),
  );
  const root = await world.mounter.mount(request);
  assert.deepEqual(readdirSync(root.path), ['shared']);
  root.release();
});

test('what an interrupted pull left is cleared by the next start', async (t) => {
  const base = await temporaryDirectory(t);
  mkdirSync(join(base, 'roots/.tmp-1/half'), { recursive: true });
  mkdirSync(join(base, 'blobs'));
  writeFileSync(join(base, 'blobs/.tmp-2'), 'half');
  const mounter = await FullPullMounter.open({ directory: base, insecureRegistries: [] });
  afterTest(t, () => mounter.close());
  await waitFor('both to be empty', () =>
    ['roots', 'blobs'].every((name) => readdirSync(join(base, name)).length === 0),
  );
});
