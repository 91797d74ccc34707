import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { startPlatform, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { missingCompiler, sampleImage } from './fixtures/container/sample-image.ts';
import { missingLazyMounts, missingSandbox } from './fixtures/requirements.ts';
import { deployContainer, layoutWith } from './support/containers.ts';

/** For what a slow machine takes long to do. */
const WAIT_MS_MAX = 120_000;

interface Start {
  readonly versionKey: string;
  readonly mode: string;
  readonly reason: string;
  readonly lazy?: { readonly isRecorded: boolean; readonly readBytes: number };
}

async function json<T>(platform: Platform, args: readonly string[]): Promise<T> {
  const { code, stdout, stderr } = await platform.thaw([...args, '--json']);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout.toString());
}

test(
  'functions in images that are mounted lazily',
  { skip: missingCompiler() ?? missingLazyMounts() ?? false },
  async (t) => {
    const platform = await startPlatform(t, { needs: ['lazy-images'] });
    const missing = await missingSandbox(platform);
    if (missing !== undefined) {
      t.skip(missing);
      return;
    }
    const { name } = await layoutWith(t, await sampleImage('web'));
    const call = await deployContainer(platform, 'first', { image: name });
    assert.equal((await call('/whoami')).status, 200);
    // The whole image was pulled; it is converted beside the first start, which may find it done, and later ones are lazy.
    const [image] = await json<{ digest: string }[]>(platform, ['image', 'ls']);
    const digest = image?.digest ?? '';
    await waitFor(
      'the conversion',
      () => platform.output().includes('later starts mount it lazily'),
      WAIT_MS_MAX,
    );

    const again = await deployContainer(platform, 'second', { image: name });
    assert.equal((await again('/whoami')).status, 200);
    assert.equal((await again('/write?path=/app/new', 'x')).status, 200);
    const trace = await waitFor(
      'the recording',
      async () => {
        const known = await json<{ versionKey: string; chunks: number }[]>(platform, ['image', 'trace']);
        return known.find(({ versionKey }) => versionKey.startsWith('second@'));
      },
      WAIT_MS_MAX,
    );
    assert.ok(trace.chunks > 0);
    const { starts } = await json<{ starts: Start[] }>(platform, ['image', 'inspect', digest]);
    const second = starts.find(({ versionKey }) => versionKey.startsWith('second@'));
    assert.deepEqual([second?.mode, second?.lazy?.isRecorded], ['lazy', true]);
    assert.ok((second?.lazy?.readBytes ?? 0) > 1_000_000);
    const usage = await json<{ chunks: number; tiers: { local: { chunks: number } } }>(platform, [
      'image',
      'cache',
    ]);
    assert.ok(usage.chunks > 0 && usage.tiers.local.chunks > 0);
    const { stdout } = await platform.thaw(['image', 'inspect', digest]);
    assert.match(stdout.toString(), /second@.* lazy/u);
    assert.match((await platform.thaw(['logs', 'second'])).stdout.toString(), /image: lazy, read as needed/u);

    assert.equal((await platform.thaw(['image', 'trace', 'second', '--record'])).code, 0);
    assert.equal(
      (await json<{ isWanted: boolean }[]>(platform, ['image', 'trace', 'second']))[0]?.isWanted,
      true,
    );
    assert.equal((await platform.thaw(['image', 'trace', 'second', '--clear'])).code, 0);
    assert.equal((await platform.thaw(['image', 'trace', 'second'])).code, 2);
    assert.equal((await platform.thaw(['image', 'cache', '--clear'])).code, 0);
    // What runs goes on, from what is fetched anew.
    assert.equal((await again('/whoami')).status, 200);

    const none = await deployContainer(platform, 'third', { image: name, accelerationType: 'None' });
    assert.equal((await none('/whoami')).status, 200);
    const last = await json<{ starts: Start[] }>(platform, ['image', 'inspect', digest]);
    assert.match(last.starts.find(({ reason }) => reason.includes('no acceleration'))?.mode ?? '', /^full$/u);

    // Others of the same image on this machine may have it mounted too.
    const run = `/thaw-${createHash('sha256').update(platform.dataDir).digest('hex').slice(0, 12)}/`;
    const mounted = (): string[] =>
      readFileSync('/proc/self/mountinfo', 'utf8')
        .split('\n')
        .filter((line) => line.includes(run) && line.includes(`${digest.slice(7, 23)}-`));
    assert.notDeepEqual(mounted(), []);
    await platform.stop();
    assert.deepEqual(mounted(), []);
  },
);
