import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { startRegistry, type TestRegistry } from '@thaw/testkit/registry-server.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { TOC_NAME } from '../layer/toc.ts';
import type { TracePack } from '../trace/trace-pack.ts';
import { mountsBelow } from './run-mount.ts';
import {
  dropPageCache,
  lastReport,
  mount,
  rig,
  rigOn,
  WAIT_MS_MAX,
  whyNoLazyMounts,
  type Rig,
} from '@thaw/testkit/lazy-mounts.ts';

const skip = whyNoLazyMounts();
const run = promisify(execFile);

interface Packed {
  readonly registry: TestRegistry;
  /** The machine that recorded, closed. */
  readonly made: Rig;
  readonly pack: TracePack;
  /** Of the pack's blob in the registry. */
  readonly path: string;
  /** From now on the registry does not answer who asks for the pack. */
  readonly stall: () => void;
  /** Another machine that knows the function and has nothing of the image. */
  readonly elsewhere: (options?: Parameters<typeof rig>[3]) => Promise<Rig>;
}

/** As a program does: some pages of a large file, all of others. */
async function readFirst({ path }: { readonly path: string }): Promise<string> {
  const script = `cd "$1" && cat bin/tool usr/lib/file-1? | sha256sum
    for at in 0 2 3 30 31 32 100 300 301; do dd if=app bs=4096 count=4 skip=$at status=none; done | sha256sum`;
  return (await run('sh', ['-c', script, 'sh', path])).stdout;
}

/** A function whose first start was recorded and packed. */
async function packed(t: TestContext): Promise<Packed> {
  const registries: TestRegistry[] = [];
  const copies = (): Parameters<typeof rig>[3] => ({
    insecureRegistries: registries.map(({ host }) => host),
    copies: { repository: `${registries[0]?.host}/thaw/copies`, setting: {}, pushes: true },
    giveUpMs: 9_000,
  });
  const first = await rig(t);
  await first.mounter.close();
  let stalled = '';
  const registry = await startRegistry(t, {
    layout: first.layout,
    takesUploads: true,
    before: async ({ path }) =>
      stalled !== '' && path.endsWith(stalled) && (await new Promise(() => undefined)),
  });
  registries.push(registry);
  const made = await rigOn(t, first.directory, first.layout, copies());
  const root = await made.mounter.mount(made.request);
  await readFirst(root);
  root.release();
  const pack = await waitFor(
    'the pack',
    () => made.mounter.traces.get('f@1', made.request.image.digest)?.pack,
    WAIT_MS_MAX,
  );
  await made.mounter.close();
  const path = join(made.layout, 'blobs', pack.blob.replace(':', '/'));
  const elsewhere: Packed['elsewhere'] = async (options) => {
    rmSync(join(made.directory, 'images'), { recursive: true });
    dropPageCache();
    return await rigOn(t, made.directory, made.layout, { ...copies(), ...options });
  };
  const stall = (): void => {
    stalled = pack.blob;
  };
  return { registry, made, pack, path, stall, elsewhere };
}

test('what one machine read first comes to another one in a pack', { skip }, async (t) => {
  const { registry, pack, path, elsewhere } = await packed(t);
  const blob = readFileSync(path);
  assert.equal(blob.length, pack.size);
  // Of the file that is read here and there, blocks.
  assert.ok(pack.imageBytes > 700_000 && pack.imageBytes < 2_000_000, String(pack.imageBytes));
  assert.ok(registry.requests.some(({ path: asked }) => asked.includes('/manifests/trace-pack-1-')));

  const other = await elsewhere();
  const root = await mount(t, other, other.request);
  assert.match(root.reason, /chunks ahead as its trace says, or a pack of what is read of them/u);
  const device = mountsBelow(root.path).at(-1)?.device ?? '';
  assert.equal(readFileSync(`/sys/class/bdi/${device}/read_ahead_kb`, 'utf8').trim(), '128');
  const fetched = (): boolean =>
    registry.requests.filter(({ path: asked, range }) => asked.endsWith(pack.blob) && range !== undefined)
      .length > 0;
  await waitFor('the pack to be used', fetched, WAIT_MS_MAX);
  const full = await mount(t, other, { ...other.request, acceleration: 'none' });
  assert.equal(await readFirst(root), await readFirst(full));
  root.release();
  const { lazy } = await lastReport(other, 2);
  assert.equal(lazy?.replay?.isPacked, true);
  // What lies at the edges of blocks may be read now and not before.
  assert.ok(lazy.replay.misses <= 2, String(lazy.replay.misses));
  assert.ok((lazy.wireBytes.registry ?? 0) < 1.5 * pack.size);

  // What the pack does not hold comes as ever, also when another server takes over without it.
  dropPageCache();
  const again = await mount(t, other, other.request);
  const pid = (await other.mounter.imagedPid()) ?? assert.fail();
  const compared = run('diff', ['-r', '--no-dereference', `--exclude=${TOC_NAME}`, again.path, full.path]);
  process.kill(pid, 'SIGKILL');
  await compared;
  assert.equal(await readFirst(again), await readFirst(full));
  assert.equal(
    other.log.some((line) => line.includes('pack')),
    false,
    other.log.join('\n'),
  );
});

test('the machine that has the chunks fetches no pack', { skip }, async (t) => {
  const { registry, made, pack } = await packed(t);
  const again = await rigOn(t, made.directory, made.layout, {
    insecureRegistries: [registry.host],
    copies: { repository: `${registry.host}/thaw/copies`, setting: {}, pushes: false },
  });
  const root = await mount(t, again, again.request);
  await readFirst(root);
  root.release();
  const { lazy } = await lastReport(again, 1);
  assert.deepEqual([lazy?.wireBytes.registry, lazy?.replay?.isPacked], [0, false]);
  assert.equal(
    registry.requests.some(({ path, method }) => path.endsWith(pack.blob) && method === 'GET'),
    false,
  );
});

test('a start beside another one that is being fetched ahead keeps the pack', { skip }, async (t) => {
  const { elsewhere } = await packed(t);
  // Slowly, so that some of it still waits for its turn.
  const other = await elsewhere({ prefetchBytesPerSecondMax: 500_000 });
  const roots = [await mount(t, other, other.request), await mount(t, other, other.request)];
  const [first, second] = await Promise.all(roots.map(readFirst));
  assert.equal(first, second);
  assert.deepEqual(
    other.log.filter((line) => line.includes('pack')),
    [],
  );
});

for (const [what, spoil] of [
  ['does not come', ({ stall }: Packed) => stall()],
  ['is gone', ({ path }: Packed) => rmSync(path)],
  ['was cut short', ({ path }: Packed) => writeFileSync(path, readFileSync(path).subarray(0, 50_000))],
  [
    'holds something else',
    ({ path }: Packed) => {
      const bytes = readFileSync(path);
      writeFileSync(path, Buffer.concat([Buffer.alloc(200_000), bytes.subarray(200_000)]));
    },
  ],
] as const) {
  test(`a pack that ${what} keeps nobody from starting, and gives no wrong byte`, { skip }, async (t) => {
    const made = await packed(t);
    spoil(made);
    const other = await made.elsewhere();
    const root = await mount(t, other, other.request);
    assert.match(root.reason, /or a pack/u);
    const full = await mount(t, other, { ...other.request, acceleration: 'none' });
    assert.equal(await readFirst(root), await readFirst(full));
    const isTold = (): boolean =>
      other.log.some((line) => /the pack of a trace of .* is not used/u.test(line));
    await waitFor('what is said of it', isTold, WAIT_MS_MAX).catch((error: unknown) => {
      assert.fail(`${String(error)}; what was said: ${other.log.join('; ')}`);
    });
  });
}
