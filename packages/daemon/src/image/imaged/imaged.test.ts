import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { afterTest } from '@thaw/testkit/after-test.ts';
import { temporaryDirectory } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import type { RootFileSystem } from '../image-mounter.ts';
import { TOC_NAME } from '../layer/toc.ts';
import { replayOrder } from '../trace/trace-store.ts';
import { FullPullMounter } from '../unpack/full-pull-mounter.ts';
import { loopDeviceOf, mountsBelow } from './run-mount.ts';
import {
  dropPageCache,
  lastReport,
  listing,
  mount,
  rig,
  rigOn,
  SAMPLE,
  WAIT_MS_MAX,
  whyNoLazyMounts,
} from '@thaw/testkit/lazy-mounts.ts';

const skip = whyNoLazyMounts();
const run = promisify(execFile);

test('an image that is mounted lazily is the one that is unpacked', { skip }, async (t) => {
  for (const kind of ['estargz', 'zstd:chunked', 'plain'] as const) {
    await t.test(kind, async (inner) => {
      const made = await rig(inner, SAMPLE, kind);
      const full = await mount(inner, made, { ...made.request, acceleration: 'none' });
      assert.equal(full.mode, 'full');
      assert.match(full.reason, /asks for no acceleration/u);
      let lazy = await mount(inner, made, made.request);
      if (kind === 'plain') {
        // Nobody waits for a conversion; the start says so.
        assert.deepEqual([lazy.mode, /being converted/u.test(lazy.reason)], ['full', true]);
        lazy.release();
        lazy = await waitFor(
          'the conversion',
          async () => {
            const again = await mount(inner, made, made.request);
            if (again.mode === 'lazy') return again;
            again.release();
            return undefined;
          },
          WAIT_MS_MAX,
        );
      }
      assert.equal(lazy.mode, 'lazy');
      assert.match(lazy.reason, kind === 'plain' ? /converted on this machine/u : /from the registry/u);
      assert.equal(listing(lazy.path), listing(full.path));
      await run('diff', ['-r', '--no-dereference', `--exclude=${TOC_NAME}`, lazy.path, full.path]);
    });
  }
});

test('the server of images dies 20 times under load, and nobody reads a wrong byte', { skip }, async (t) => {
  const made = await rig(t);
  const root = await mount(t, made, made.request);
  // A reader is a process of its own: this one has to stay able to start the next server.
  const read = async (): Promise<string> => {
    const script = 'cd "$1" && find . -type f -exec sha256sum {} + | sort -k2';
    return (await run('sh', ['-c', script, 'sh', root.path], { maxBuffer: 2 ** 24 })).stdout;
  };
  const expected = await read();
  const state = { isKilling: true, rounds: 0, wrong: 0 };
  const reading = [0, 1].map(async () => {
    while (state.isKilling) {
      dropPageCache();
      if ((await read()) !== expected) state.wrong += 1;
      state.rounds += 1;
    }
  });
  const killing = async (): Promise<void> => {
    for (let kills = 0; kills < 20; kills += 1) {
      const pid = await waitFor('a server', () => made.mounter.imagedPid(), WAIT_MS_MAX);
      const before = state.rounds;
      process.kill(pid, 'SIGKILL');
      const isOther = async (): Promise<boolean> =>
        ![undefined, pid].includes(await made.mounter.imagedPid());
      await waitFor('another server', isOther, WAIT_MS_MAX);
      // Some die while they start, some while they serve.
      if (kills % 3 === 0) await waitFor('a round of reading', () => state.rounds > before, WAIT_MS_MAX);
    }
    state.isKilling = false;
  };
  await Promise.all([killing(), ...reading]);
  assert.equal(await read(), expected);
  assert.equal(state.wrong, 0);
  assert.ok(((await made.mounter.usage())?.restarts ?? 0) >= 20);
});

test('first starts at the same time fetch each chunk once', { skip }, async (t) => {
  const made = await rig(t);
  const roots = await Promise.all(
    Array.from({ length: 6 }, (_, index) => mount(t, made, { ...made.request, versionKey: `f${index}@1` })),
  );
  assert.ok(new Set(roots.map(({ path }) => path)).size > 1);
  await Promise.all(
    roots.map(({ path }) => run('sh', ['-c', 'find "$1" -type f -exec cat {} + | sha256sum', 'sh', path])),
  );
  const usage = await made.mounter.usage();
  const chunks = new Set<string>();
  const { DerivedImages } = await import('./derived-images.ts');
  const loaded = new DerivedImages(join(made.directory, 'images')).load(made.request.image.digest);
  for (let chunk = 0; chunk < (loaded?.table.count ?? 0); chunk += 1)
    chunks.add(loaded?.table.digest(chunk) ?? '');
  assert.equal(usage?.tiers.registry.chunks, chunks.size);
});

test(
  'with the registry down, what is in the cache still starts; what is not is an error, not a hang',
  { skip },
  async (t) => {
    const made = await rig(t);
    const warm = await made.mounter.mount(made.request);
    await run('sh', ['-c', 'cat "$1"/bin/tool "$1"/usr/lib/* > /dev/null', 'sh', warm.path]);
    warm.release();
    rmSync(made.layout, { recursive: true });
    const again = await mount(t, made, { ...made.request, versionKey: 'g@1' });
    dropPageCache();
    assert.equal((await readFile(join(again.path, 'bin/tool'))).length, 700_000);
    await assert.rejects(
      readFile(join(again.path, 'app')),
      (error: unknown) => error instanceof Error && 'code' in error && error.code === 'EIO',
    );
    assert.ok(
      made.log.some((line) => line.includes('read of')),
      made.log.join('\n'),
    );
  },
);

test(
  'the first start is recorded, the next one is fetched ahead, another workload is noticed',
  { skip },
  async (t) => {
    const made = await rig(t);
    const readFirst = async (root: RootFileSystem): Promise<void> => {
      await run('sh', [
        '-c',
        'cat "$1"/bin/tool "$1"/usr/lib/file-1? "$1"/usr/lib/file-12? > /dev/null',
        'sh',
        root.path,
      ]);
    };
    const first = await made.mounter.mount(made.request);
    assert.match(first.reason, /recorded/u);
    await readFirst(first);
    first.release();
    const recorded = await lastReport(made, 1);
    assert.equal(recorded.lazy?.isRecorded, true);
    assert.ok(recorded.lazy.touched.chunks >= 20 && recorded.lazy.touched.bytes > 700_000);
    assert.equal(recorded.lazy.demanded.memory, undefined);
    // The next one has the mount of the recorded one, and what the kernel keeps of it.
    const warm = await made.mounter.mount(made.request);
    assert.equal(warm.path, first.path);
    await readFirst(warm);
    warm.release();
    const repeated = await lastReport(made, 2);
    assert.equal(repeated.lazy?.touched.chunks, 0);
    assert.ok((repeated.lazy.demanded.memory?.bytes ?? 0) > 700_000);
    assert.deepEqual((await made.mounter.usage())?.tiers.memory.bytes, repeated.lazy.demanded.memory?.bytes);
    const { demanded, prefetched } = recorded.lazy;
    // Of small neighbours some come with the one that is read first.
    assert.ok((prefetched.registry?.chunks ?? 0) > 0);
    assert.ok((demanded.registry?.chunks ?? 0) + (prefetched.registry?.chunks ?? 0) >= 20);
    const trace = made.mounter.traces.require('f@1');
    const order = replayOrder(trace);
    assert.ok(order.length >= 20 && !trace.isWanted);

    await made.mounter.clearCache();
    dropPageCache();
    const second = await made.mounter.mount(made.request);
    assert.match(second.reason, /chunks ahead as its trace says/u);
    await waitFor(
      'what the trace names',
      async () => ((await made.mounter.usage())?.chunks ?? 0) >= order.length,
      WAIT_MS_MAX,
    );
    await readFirst(second);
    second.release();
    const replayed = await lastReport(made, 3);
    assert.deepEqual(replayed.lazy?.replay?.misses, 0);
    assert.equal(replayed.lazy.demanded.registry, undefined);
    assert.equal(replayed.lazy.prefetched.registry?.chunks, order.length);

    // The same function reads something else now.
    const third = await made.mounter.mount(made.request);
    dropPageCache();
    await run('sh', [
      '-c',
      'cat "$1"/usr/lib/file-2? "$1"/usr/lib/file-3? "$1"/app > /dev/null',
      'sh',
      third.path,
    ]);
    third.release();
    const other = await lastReport(made, 4);
    assert.ok((other.lazy?.replay?.misses ?? 0) > 10);
    assert.ok(made.mounter.traces.require('f@1').isWanted);

    // A new version on the same image uses what is known, and is recorded itself.
    const next = await made.mounter.mount({ ...made.request, versionKey: 'f@2' });
    assert.match(next.reason, /chunks ahead.*recorded/u);
    next.release();
    assert.ok(made.mounter.traces.clear('f@1'));
    assert.equal(made.mounter.traces.get('f@1', made.request.image.digest), undefined);
  },
);

/** Everything that is in the files, with their names. */
async function digestOf(path: string): Promise<string> {
  const script = 'cd "$1" && find . -type f -exec sha256sum {} + | sort -k2 | sha256sum';
  return (await run('sh', ['-c', script, 'sh', path])).stdout;
}

test('where the kernel mounts no files, a loop device is between', { skip }, async (t) => {
  const made = await rig(t, SAMPLE, 'estargz', { methods: ['loop'] });
  const root = await mount(t, made, made.request);
  assert.equal(root.mode, 'lazy');
  assert.equal((await made.mounter.usage())?.method, 'loop');
  // Several reads of one instance are under way at once.
  const device = loopDeviceOf(root.path) ?? assert.fail();
  assert.equal(readFileSync(`/sys/block/${basename(device)}/loop/dio`, 'utf8').trim(), '1');
  const full = await mount(t, made, { ...made.request, acceleration: 'none' });
  await run('diff', ['-r', '--no-dereference', `--exclude=${TOC_NAME}`, root.path, full.path]);
});

test('where nothing works, the image is pulled and the start says why', { skip }, async (t) => {
  const made = await rig(t, SAMPLE, 'estargz', { methods: [] });
  const root = await mount(t, made, made.request);
  assert.equal(root.mode, 'full');
  assert.match(root.reason, /EROFS file systems cannot be mounted/u);
});

test('where lazy images are switched off, the image is pulled and the start says so', { skip }, async (t) => {
  const made = await rig(t, SAMPLE, 'estargz', { isEnabled: false });
  const root = await mount(t, made, made.request);
  assert.equal(root.mode, 'full');
  assert.match(root.reason, /lazy images are switched off/u);
  assert.equal(await made.mounter.imagedPid(), undefined);
});

test('the kernel reads around what is asked for, and no further than a chunk', { skip }, async (t) => {
  const made = await rig(t);
  const root = await mount(t, made, made.request);
  const device = mountsBelow(root.path).at(-1)?.device ?? '';
  assert.equal(readFileSync(`/sys/class/bdi/${device}/read_ahead_kb`, 'utf8').trim(), '512');
});

test('where fetching ahead is switched off, an eager start reads as needed', { skip }, async (t) => {
  const made = await rig(t, SAMPLE, 'estargz', { prefetchBytesPerSecondMax: 0 });
  const first = await made.mounter.mount(made.request);
  await run('sh', ['-c', 'cat "$1"/usr/lib/* > /dev/null', 'sh', first.path]);
  first.release();
  assert.deepEqual((await lastReport(made, 1)).lazy?.prefetched, {});
  const root = await mount(t, made, { ...made.request, acceleration: 'eager' });
  assert.equal(root.mode, 'lazy');
  assert.match(root.reason, /fetching ahead is switched off/u);
  const full = await mount(t, made, { ...made.request, acceleration: 'none' });
  await run('diff', ['-r', '--no-dereference', `--exclude=${TOC_NAME}`, root.path, full.path]);
});

test('a server of images that hangs is replaced, and its readers go on', { skip }, async (t) => {
  const made = await rig(t, SAMPLE, 'estargz', { hangMs: 2_000 });
  const root = await mount(t, made, made.request);
  const expected = await digestOf(root.path);
  dropPageCache();
  const pid = (await made.mounter.imagedPid()) ?? assert.fail();
  process.kill(pid, 'SIGSTOP');
  assert.equal(await digestOf(root.path), expected);
  assert.ok(made.log.some((line) => line.includes('hangs')));
});

test('a full disk of the cache is told, and keeps nobody from reading', { skip }, async (t) => {
  const made = await rig(t);
  const chunks = join(made.directory, 'images', 'chunks');
  mkdirSync(chunks, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', chunks]);
  afterTest(t, async () => {
    await made.mounter.close();
    execFileSync('umount', [chunks]);
  });
  const root = await made.mounter.mount(made.request);
  const full = await made.mounter.mount({ ...made.request, acceleration: 'none' });
  await run('diff', ['-r', '--no-dereference', `--exclude=${TOC_NAME}`, root.path, full.path]);
  root.release();
  full.release();
  assert.match((await made.mounter.usage())?.problem ?? '', /disk is full/u);
  assert.ok(made.log.some((line) => /nothing is kept in the image cache: .*disk is full/u.test(line)));
});

test('a pull and a conversion onto a full disk fail with that reason', { skip }, async (t) => {
  const small = await temporaryDirectory(t);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'none', small]);
  const made = await rig(t, SAMPLE, 'plain', {
    directory: small,
    full: await FullPullMounter.open({ directory: small, insecureRegistries: [] }),
  });
  afterTest(t, async () => {
    await made.mounter.close();
    execFileSync('umount', [small]);
  });
  await assert.rejects(
    made.mounter.mount(made.request),
    (error: unknown) =>
      error instanceof ThawError && error.code === 'STORE_FAILED' && /disk is full/u.test(error.message),
  );
  await waitFor(
    'the conversion to fail',
    () => made.log.some((line) => /was not converted/u.test(line)),
    WAIT_MS_MAX,
  );
});

test('an eager start has all of the image fetched ahead', { skip }, async (t) => {
  const made = await rig(t);
  const root = await mount(t, made, { ...made.request, acceleration: 'eager' });
  assert.equal(root.mode, 'eager');
  await waitFor(
    'the whole image',
    async () => ((await made.mounter.usage())?.chunks ?? 0) >= 150,
    WAIT_MS_MAX,
  );
});

test('a layer that lies about its chunks gives errors, never its lies', { skip }, async (t) => {
  const made = await rig(t, {
    layers: [
      [
        { name: 'file', content: randomBytes(50_000) },
        { name: 'good', content: 'good' },
      ],
    ],
  });
  const root = await mount(t, made, made.request);
  // What the registry gives from now on is not what the table of contents promised.
  const blobs = join(made.layout, 'blobs/sha256');
  const layer = made.request.image.layers[0]?.digest.replace('sha256:', '') ?? '';
  const bytes = readFileSync(join(blobs, layer));
  writeFileSync(join(blobs, layer), Buffer.concat([randomBytes(40_000), bytes.subarray(40_000)]));
  await assert.rejects(readFile(join(root.path, 'file')));
  assert.ok(((await made.mounter.usage())?.tiers.registry.corrupt ?? 0) > 0);
});

test('an image that cannot be converted is refused with its reason by the pull too', { skip }, async (t) => {
  const made = await rig(t, { layers: [[{ name: '../outside', content: 'x' }]] }, 'plain');
  await assert.rejects(made.mounter.mount(made.request), /outside/u);
  await waitFor(
    'the conversion to fail',
    () => made.mounter.describe(made.request.image.digest).failure,
    WAIT_MS_MAX,
  );
  assert.deepEqual((await readdir(made.directory)).includes('outside'), false);
});

test('what belongs to images that no version names is collected', { skip }, async (t) => {
  const made = await rig(t);
  const root = await made.mounter.mount(made.request);
  await readFile(join(root.path, 'app'));
  const { digest } = made.request.image;
  assert.equal(await made.mounter.collect(new Set()), 0);
  root.release();
  // Its mount rests for a while for the next start; only the next platform collects it.
  await made.mounter.close();
  const next = await rigOn(t, made.directory, made.layout);
  assert.ok(next.mounter.describe(digest).derived !== undefined);
  assert.equal(await next.mounter.collect(new Set([digest])), 0);
  assert.equal(await next.mounter.collect(new Set()), 1);
  assert.equal(next.mounter.describe(digest).derived, undefined);
});

test(
  'mounts of a platform that was killed are taken away, by its guard or by the next start',
  { skip },
  async (t) => {
    const directory = await temporaryDirectory(t);
    const place = join(directory, 'run');
    // One that nobody guarded, in use.
    const old = join(place, 'old');
    mkdirSync(old, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', 'none', old]);
    const held = spawn('sleep', ['1000'], { cwd: old });
    afterTest(t, () => held.kill('SIGKILL'));
    const module = join(import.meta.dirname, 'mount-directory.ts');
    const script = `const { openMountDirectory } = await import(${JSON.stringify(module)});
    const { path } = await openMountDirectory(${JSON.stringify(place)});
    console.log(path);
    setInterval(() => undefined, 1000);`;
    const platform = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    afterTest(t, () => platform.kill('SIGKILL'));
    const told: unknown[] = await once(platform.stdout, 'data');
    assert.match(String(told[0]), /\/run\/[0-9a-f]{8}\n$/u);
    assert.ok(mountsBelow(place).every(({ type }) => type !== 'tmpfs'));
    platform.kill('SIGKILL');
    await waitFor('the mounts to go', () => mountsBelow(place).length === 0, WAIT_MS_MAX);
    const { openMountDirectory } = await import('./mount-directory.ts');
    const opened = await openMountDirectory(place);
    await opened.close();
    assert.deepEqual([mountsBelow(place), await readdir(place)], [[], []]);
  },
);
