import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { writeOciLayout } from '@thaw/testkit/oci-layout.ts';
import { startPlatform, temporaryDirectory } from '@thaw/testkit/platform.ts';
import { startRegistry } from '@thaw/testkit/registry-server.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { missingCompiler, sampleImage } from './fixtures/container/sample-image.ts';
import { missingProgram, missingSandbox } from './fixtures/requirements.ts';
import {
  createContainer,
  deployContainer,
  getFunction,
  layoutWith,
  untilActive,
} from './support/containers.ts';
import { startDebianRegistry } from './support/debian-registry.ts';
import { API, invoke } from './support/functions.ts';
import { signedCall } from './support/signed-call.ts';

const run = promisify(execFile);

/** What is in a platform's directory of images. */
async function imagesOf(dataDir: string): Promise<{ readonly roots: string[]; readonly blobs: string[] }> {
  const list = async (name: string): Promise<string[]> =>
    (await readdir(join(dataDir, 'images', name))).filter((entry) => !entry.endsWith('.json')).toSorted();
  return { roots: await list('roots'), blobs: await list('blobs') };
}

test('images from registries', { skip: missingCompiler() ?? false }, async (all) => {
  const platform = await startPlatform(all);
  const skip = (await missingSandbox(platform)) ?? false;

  await all.test(
    "an image comes from Debian's registry",
    { skip: skip || (missingProgram('docker-registry', 'skopeo') ?? false) },
    async (t) => {
      const host = await startDebianRegistry(t);
      const { name } = await layoutWith(t, await sampleImage('web'));
      await run('skopeo', ['copy', '--dest-tls-verify=false', name, `docker://${host}/team/app:v1`]);
      const call = await deployContainer(platform, 'debian', { image: `${host}/team/app:v1` });
      assert.equal((await call('/read?path=/etc/group')).status, 200);
      const { customContainerConfig } = await getFunction(platform, 'debian');
      assert.match(
        customContainerConfig.resolvedImageUri,
        new RegExp(`^${host}/team/app@sha256:[0-9a-f]{64}$`, 'u'),
      );
      assert.equal(customContainerConfig.accelerationInfo.status, 'Ready');
    },
  );

  for (const auth of ['basic', 'bearer'] as const) {
    await all.test(`a private registry is read with the function's user: ${auth}`, { skip }, async (t) => {
      const { directory } = await layoutWith(t, await sampleImage('web'));
      const user = { userName: 'me', password: 'a secret' };
      const { host } = await startRegistry(t, { layout: directory, auth, ...user });
      const image = `${host}/app`;
      const refused = await createContainer(platform, `private-${auth}`, { image });
      assert.equal(refused.status, 403, refused.body.toString());
      assert.match(refused.body.toString(), /"Code":"ImageAccessDenied"/u);
      const call = await deployContainer(platform, `private-${auth}`, {
        image,
        registryConfig: { authConfig: user },
      });
      assert.equal((await call('/whoami')).status, 200);
      const told = await getFunction(platform, `private-${auth}`);
      assert.deepEqual(told.customContainerConfig.registryConfig, { authConfig: { userName: 'me' } });
    });
  }

  await all.test(
    'a new deployment gets what the tag means now, a published version keeps its own',
    { skip },
    async (t) => {
      const { directory, written } = await layoutWith(
        t,
        await sampleImage('web', { config: { Env: ['RELEASE=1'] } }),
      );
      const { host } = await startRegistry(t, { layout: directory });
      const config = { image: `${host}/app:latest` };
      const call = await deployContainer(platform, 'updated', config);
      assert.match((await call('/whoami')).body.toString(), /RELEASE=1/u);
      await signedCall(platform, { method: 'POST', path: `${API}/functions/updated/versions`, body: '{}' });
      const next = await writeOciLayout(
        directory,
        await sampleImage('web', { config: { Env: ['RELEASE=2'] } }),
      );
      assert.notEqual(next.digest, written.digest);
      const update = await signedCall(platform, {
        method: 'PUT',
        path: `${API}/functions/updated`,
        body: JSON.stringify({ customContainerConfig: config }),
      });
      assert.equal(update.status, 200, update.body.toString());
      await untilActive(platform, 'updated');
      assert.match((await call('/whoami')).body.toString(), /RELEASE=2/u);
      const old = await invoke(platform, 'updated', 'still here', { qualifier: '1' });
      assert.equal(old.body.toString(), 'still here');
      // Both releases share the layer with the program, which was fetched once.
      const layer = written.layers[0]?.digest ?? '';
      assert.ok((await imagesOf(platform.dataDir)).blobs.includes(layer.replace('sha256:', '')));
    },
  );
});

test(
  'an image that is here starts without its registry, also after a restart',
  { skip: missingCompiler() ?? false },
  async (t) => {
    const dataDir = await temporaryDirectory(t, 'thaw data ');
    const first = await startPlatform(t, { dataDir });
    const none = await missingSandbox(first);
    if (none !== undefined) {
      t.skip(none);
      return;
    }
    const { directory } = await layoutWith(t, await sampleImage('web'));
    const registry = await startRegistry(t, { layout: directory });
    await deployContainer(first, 'lasting', { image: `${registry.host}/app` });
    await registry.stop();
    assert.equal((await invoke(first, 'lasting', 'one')).body.toString(), 'one');
    await first.stop();
    const second = await startPlatform(t, { dataDir });
    assert.equal((await invoke(second, 'lasting', 'two')).body.toString(), 'two');
  },
);

test(
  'kill -9 in the middle of a pull leaves nothing half-made',
  { skip: missingCompiler() ?? false },
  async (t) => {
    const dataDir = await temporaryDirectory(t, 'thaw data ');
    const first = await startPlatform(t, { dataDir });
    const none = await missingSandbox(first);
    if (none !== undefined) {
      t.skip(none);
      return;
    }
    const { directory, written } = await layoutWith(t, await sampleImage('web'));
    let isHeld = true;
    let held = 0;
    const registry = await startRegistry(t, {
      layout: directory,
      before: ({ path }, response) => {
        const hex = /\/blobs\/sha256:([0-9a-f]+)$/u.exec(path)?.[1];
        const layer = written.layers[0]?.digest.replace('sha256:', '');
        if (!isHeld || hex === undefined || hex !== layer) return false;
        held += 1;
        // Half of it, and then nothing.
        response.writeHead(200);
        createReadStream(join(directory, 'blobs/sha256', hex), { end: 100_000 }).pipe(response, {
          end: false,
        });
        return true;
      },
    });
    const created = await createContainer(first, 'interrupted', { image: `${registry.host}/app` });
    assert.equal(created.status, 200, created.body.toString());
    assert.equal((await getFunction(first, 'interrupted')).state, 'Pending');
    await waitFor('the pull to be under way', async () => {
      const { blobs } = await imagesOf(dataDir).catch(() => ({ blobs: [] }));
      return held > 0 && blobs.some((name) => name.startsWith('.tmp-'));
    });
    await first.kill();
    assert.deepEqual((await imagesOf(dataDir)).roots, []);
    isHeld = false;
    const second = await startPlatform(t, { dataDir });
    await untilActive(second, 'interrupted');
    assert.equal((await invoke(second, 'interrupted', 'whole')).body.toString(), 'whole');
    await waitFor('the remains to be gone', async () => {
      const { roots, blobs } = await imagesOf(dataDir);
      return [...roots, ...blobs].every((name) => !name.startsWith('.tmp-'));
    });
    const [root = ''] = (await imagesOf(dataDir)).roots;
    assert.match(await readFile(join(dataDir, 'images/roots', root, 'etc/passwd'), 'utf8'), /^root:/u);
  },
);
