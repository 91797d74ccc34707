import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { afterTest } from './after-test.ts';
import { writeOciLayout, type SampleImage, type TarEntry } from './oci-layout.ts';
import { temporaryDirectory } from './platform.ts';
import { waitFor } from './wait-for.ts';
import { systemClock } from '@thaw/daemon/base/clock.ts';
import { SqliteRecords } from '@thaw/daemon/store/sqlite/sqlite-records.ts';
import type { MountRequest, RootFileSystem } from '@thaw/daemon/image/image-mounter.ts';
import { parseImageReference } from '@thaw/daemon/image/image-reference.ts';
import { convertLayout } from '@thaw/daemon/image/layer/convert-layout.ts';
import { estargz } from '@thaw/daemon/image/layer/estargz-format.ts';
import { TOC_NAME } from '@thaw/daemon/image/layer/toc.ts';
import { zstdChunked } from '@thaw/daemon/image/layer/zstd-chunked-format.ts';
import { readImage } from '@thaw/daemon/image/oci/read-image.ts';
import { openSource } from '@thaw/daemon/image/open-source.ts';
import { TraceStore } from '@thaw/daemon/image/trace/trace-store.ts';
import { FullPullMounter } from '@thaw/daemon/image/unpack/full-pull-mounter.ts';
import { LazyMounter, type LazyMounterOptions } from '@thaw/daemon/image/imaged/lazy-mounter.ts';
import { mountsBelow } from '@thaw/daemon/image/imaged/run-mount.ts';
import type { StartReport } from '@thaw/daemon/image/imaged/start-report.ts';

/** For what a slow machine takes long to do. */
export const WAIT_MS_MAX = 120_000;
const GIVE_UP_MS = 500;

export interface Rig {
  readonly mounter: LazyMounter;
  readonly directory: string;
  readonly layout: string;
  readonly request: MountRequest;
  readonly log: string[];
}

const LOWER: readonly TarEntry[] = [
  { name: 'bin', type: 'directory', mode: 0o755 },
  { name: 'bin/tool', content: randomBytes(700_000), mode: 0o4755 },
  { name: 'bin/same', type: 'link', linkname: 'bin/tool' },
  { name: 'lib', type: 'symlink', linkname: 'usr/lib' },
  { name: 'usr', type: 'directory' },
  { name: 'usr/lib', type: 'directory', uid: 5, gid: 6 },
  ...Array.from({ length: 150 }, (_, at) => ({
    name: `usr/lib/file-${at}`,
    content: randomBytes(1 + at * 173),
  })),
  { name: 'gone', content: 'away' },
];
const UPPER: readonly TarEntry[] = [
  { name: '.wh.gone' },
  { name: 'lib/new', content: 'through the link' },
  { name: 'app', content: randomBytes(2_100_000) },
];
export const SAMPLE: SampleImage = { layers: [LOWER, UPPER] };
/** How an image's layers are packed; plain ones have to be converted. */
const KINDS = { estargz, 'zstd:chunked': zstdChunked, plain: undefined };

export async function rig(
  t: TestContext,
  sample = SAMPLE,
  kind: keyof typeof KINDS = 'estargz',
  options: Partial<LazyMounterOptions> = {},
): Promise<Rig> {
  const directory = await temporaryDirectory(t);
  const plain = join(directory, 'plain');
  await writeOciLayout(plain, sample);
  const layout = join(directory, 'layout');
  const format = KINDS[kind];
  if (format === undefined) renameSync(plain, layout);
  else await convertLayout(plain, layout, 'latest', format);
  return await rigOn(t, directory, layout, options);
}

export async function rigOn(
  t: TestContext,
  directory: string,
  layout: string,
  options: Partial<LazyMounterOptions> = {},
): Promise<Rig> {
  const log: string[] = [];
  const images = join(directory, 'images');
  const records = new SqliteRecords(directory);
  const mounter = new LazyMounter({
    full: await FullPullMounter.open({ directory: images, insecureRegistries: [] }),
    directory: images,
    mountDirectory: join(directory, 'run'),
    cacheBytesMax: 256 * 1024 * 1024,
    prefetchBytesPerSecondMax: 1024 ** 3,
    giveUpMs: GIVE_UP_MS,
    insecureRegistries: [],
    zone: undefined,
    copies: undefined,
    traces: new TraceStore(records),
    clock: systemClock,
    log: (level, message) => log.push(`${level} ${message}`),
    ...options,
  });
  let isClosed = false;
  const close = async (): Promise<void> => {
    if (isClosed) return;
    isClosed = true;
    await mounter.close();
    records.close();
    assert.deepEqual(mountsBelow(directory), []);
  };
  afterTest(t, close);
  const reference = parseImageReference(`oci:${layout}:latest`);
  const source = openSource(reference, {}, []);
  const image = await readImage(source);
  await source.close();
  return { mounter, directory, layout, request: { image, reference, setting: {}, versionKey: 'f@1' }, log };
}

export async function mount(
  t: TestContext,
  { mounter }: Rig,
  request: MountRequest,
): Promise<RootFileSystem> {
  const root = await mounter.mount(request);
  afterTest(t, () => root.release());
  return root;
}

/** Every name with its kind, mode, owner, links, time in seconds and target. */
export function listing(directory: string): string {
  const found = execFileSync('find', [directory, '-printf', '%P|%y|%m|%U|%G|%l|%s\\n'], {
    maxBuffer: 2 ** 26,
  });
  return (
    found
      .toString()
      .split('\n')
      // The table of contents is a file of the layer for whoever does not know what it is.
      .filter((line) => !line.startsWith(TOC_NAME))
      .map((line) => (line.split('|')[1] === 'd' ? line.split('|').slice(0, 6).join('|') : line))
      .toSorted()
      .join('\n')
  );
}

export async function lastReport({ mounter, request }: Rig, count: number): Promise<StartReport> {
  const reports = await waitFor(
    'the report of a start',
    () => {
      const known = mounter.reports.list(request.image.digest);
      return known.length >= count ? known : undefined;
    },
    WAIT_MS_MAX,
  );
  return reports.at(-1) ?? assert.fail();
}

/** Why images cannot be mounted lazily in a test here, or undefined where they can. */
export function whyNoLazyMounts(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root to mount';
  if (!existsSync('/dev/fuse')) return 'there is no /dev/fuse';
  const known = readFileSync('/proc/filesystems', 'utf8');
  return known.includes('erofs') && known.includes('fuse') ? undefined : 'the kernel has no EROFS or no FUSE';
}

/** What was read of the mounts goes out of memory, so that it is read again. Clean pages of everybody, nothing else. */
export function dropPageCache(): void {
  execFileSync('sh', ['-c', 'echo 1 > /proc/sys/vm/drop_caches']);
}
