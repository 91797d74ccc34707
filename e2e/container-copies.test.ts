import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { runThaw, startPlatform, temporaryDirectory, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { missingCompiler, sampleImage } from './fixtures/container/sample-image.ts';
import { missingProgram, missingSandbox } from './fixtures/requirements.ts';
import { deployContainer, layoutWith } from './support/containers.ts';
import { startDebianRegistry } from './support/debian-registry.ts';

const run = promisify(execFile);
/** For what a slow machine takes long to do. */
const WAIT_MS_MAX = 120_000;

function whyNoLazyMounts(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root to mount';
  if (!existsSync('/dev/fuse')) return 'there is no /dev/fuse';
  const known = readFileSync('/proc/filesystems', 'utf8');
  return known.includes('erofs') && known.includes('fuse') ? undefined : 'the kernel has no EROFS or no FUSE';
}

async function startMachine(t: TestContext, repository: string): Promise<Platform> {
  const file = join(await temporaryDirectory(t, 'thaw-copies-'), 'copies.json');
  await writeFile(file, JSON.stringify({ repository }));
  return await startPlatform(t, { needs: ['lazy-images'], arguments: ['--image-copies', file] });
}

test(
  'layers that one machine converted are mounted lazily by the first start on another',
  {
    skip: missingCompiler() ?? whyNoLazyMounts() ?? missingProgram('docker-registry', 'skopeo') ?? false,
  },
  async (t) => {
    const host = await startDebianRegistry(t);
    const { name } = await layoutWith(t, await sampleImage('web'));
    await run('skopeo', ['copy', '--dest-tls-verify=false', name, `docker://${host}/team/app:v1`]);
    const image = `${host}/team/app:v1`;
    const first = await startMachine(t, `${host}/thaw/copies`);
    const missing = await missingSandbox(first);
    if (missing !== undefined) {
      t.skip(missing);
      return;
    }
    const call = await deployContainer(first, 'app', { image });
    assert.equal((await call('/whoami')).status, 200);
    // By then the copies are there: they are left before the image counts as converted.
    await waitFor(
      'the conversion',
      () => first.output().includes('later starts mount it lazily'),
      WAIT_MS_MAX,
    );
    assert.doesNotMatch(first.output(), /could not be left/u);
    await first.stop();

    const second = await startMachine(t, `${host}/thaw/copies`);
    const same = await deployContainer(second, 'app', { image });
    assert.equal((await same('/whoami')).status, 200);
    assert.equal((await same('/read?path=/etc/group')).status, 200);
    const told = (await second.thaw(['logs', 'app'])).stdout.toString();
    assert.match(told, /image: lazy, read as needed from copies of layers that another machine left/u);
    // What this start read is packed for those on other machines, and left beside the copies.
    const pack = await waitFor(
      'the pack',
      async () => {
        const { stdout } = await second.thaw(['image', 'trace', '--json']);
        const [trace]: { pack: { blob: string; size: number } | null }[] = JSON.parse(stdout.toString());
        return trace?.pack ?? undefined;
      },
      WAIT_MS_MAX,
    );
    const tag = `trace-pack-1-${pack.blob.replace('sha256:', '')}`;
    const inspected = await run('skopeo', [
      'inspect',
      '--raw',
      '--tls-verify=false',
      `docker://${host}/thaw/copies:${tag}`,
    ]);
    assert.equal(JSON.parse(inspected.stdout).layers[0].size, pack.size);
    assert.match((await second.thaw(['image', 'trace'])).stdout.toString(), /PACK.*\n.*MiB/u);
    await second.stop();

    // A repository that does not answer is no reason not to start.
    const third = await startMachine(t, '127.0.0.1:1/thaw/copies');
    const pulled = await deployContainer(third, 'app', { image });
    assert.equal((await pulled('/whoami')).status, 200);
    assert.match((await third.thaw(['logs', 'app'])).stdout.toString(), /image: full/u);
    assert.match(third.output(), /whether 127\.0\.0\.1:1\/thaw\/copies has a copy of layer .* is not known/u);
  },
);

test('what is no repository is refused with its reason', async (t) => {
  const directory = await temporaryDirectory(t, 'thaw-copies-');
  const file = join(directory, 'copies.json');
  for (const [content, wanted] of [
    ['{', /cannot be read/u],
    ['{"repository": "host/name:tag"}', /is no repository/u],
    ['{"repository": "host/name", "other": 1}', /other/u],
  ] as const) {
    await writeFile(file, content);
    const { code, stderr } = await runThaw([
      'serve',
      '--port',
      '0',
      '--data-dir',
      join(directory, 'data'),
      '--image-copies',
      file,
    ]);
    assert.notEqual(code, 0);
    assert.match(stderr, wanted);
  }
});
