import assert from 'node:assert/strict';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import type { ErrorCode } from '@thaw/protocol/error-code.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { writeOciLayout, type WrittenImage } from '@thaw/testkit/oci-layout.ts';
import { temporaryDirectory } from '@thaw/testkit/platform.ts';
import { startRegistry, type RegistryOptions, type TestRegistry } from '@thaw/testkit/registry-server.ts';
import type { BlobSource, Descriptor, RegistrySetting } from '../blob-source.ts';
import { parseImageReference } from '../image-reference.ts';
import { readImage } from '../oci/read-image.ts';
import { openSource } from '../open-source.ts';

interface World {
  readonly registry: TestRegistry;
  readonly written: WrittenImage;
  source(setting?: RegistrySetting, name?: string): BlobSource;
}

async function open(t: TestContext, options: Partial<RegistryOptions> = {}): Promise<World> {
  const layout = await temporaryDirectory(t);
  const written = await writeOciLayout(join(layout, 'l'), {
    layers: [[{ name: 'a', content: 'x'.repeat(5000) }]],
    compression: 'none',
    config: { Env: ['A=b=c', 'B='], User: 'me', Cmd: ['run'], ExposedPorts: { '80/tcp': {}, '53/udp': {} } },
  });
  const registry = await startRegistry(t, { layout: join(layout, 'l'), ...options });
  return {
    registry,
    written,
    source: (setting = {}, name = `${registry.host}/app`) => {
      const opened = openSource(parseImageReference(name), setting, []);
      t.after(() => opened.close());
      return opened;
    },
  };
}

function failsWith(code: ErrorCode, message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof ThawError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  };
}

const layerOf = ({ written }: World): Descriptor => {
  const [layer] = written.layers;
  assert.ok(layer !== undefined);
  return { mediaType: '', digest: layer.digest, size: layer.size };
};

test('1 and 2 an image is read and its blobs are verified', async (t) => {
  const world = await open(t);
  const source = world.source();
  const image = await readImage(source);
  assert.equal(image.digest, world.written.digest);
  assert.deepEqual(image.config, {
    environment: { A: 'b=c', B: '' },
    user: 'me',
    workingDirectory: '',
    entrypoint: [],
    command: ['run'],
    ports: [80],
    architecture: image.config.architecture,
    os: 'linux',
  });
  const bytes = await buffer(await source.blob(layerOf(world)));
  assert.equal(bytes.length, layerOf(world).size);
});

test('2 a blob of other bytes, of too few or too many, fails', async (t) => {
  const world = await open(t);
  const layer = layerOf(world);
  const wrong: [Descriptor, RegExp][] = [
    [{ ...layer, size: layer.size + 1 }, /ended after/u],
    [{ ...layer, size: layer.size - 1 }, /more than its/u],
  ];
  for (const [descriptor, message] of wrong) {
    await assert.rejects(
      async () => await buffer(await world.source().blob(descriptor)),
      failsWith('IMAGE_CORRUPT', message),
    );
  }
  const liar = await open(t, {
    before: ({ path }, response) => {
      if (!path.includes('/blobs/')) return false;
      response.end(Buffer.alloc(layer.size, 'y'));
      return true;
    },
  });
  await assert.rejects(
    async () => await buffer(await liar.source().blob(layer)),
    failsWith('IMAGE_CORRUPT', /other bytes/u),
  );
});

test('1 a manifest that is not the one asked for fails', async (t) => {
  const world = await open(t, {
    before: ({ path }, response) => {
      if (!path.includes('/manifests/')) return false;
      response.end('{}');
      return true;
    },
  });
  const name = `${world.registry.host}/app@${world.written.digest}`;
  await assert.rejects(() => world.source({}, name).manifest(), failsWith('IMAGE_CORRUPT', /has digest/u));
});

for (const whole of [false, true]) {
  test(`3 a range comes as asked for${whole ? ' from a server that knows none' : ''}`, async (t) => {
    const world = await open(t, {
      before: (seen) => {
        if (whole) Object.assign(seen, { range: undefined });
        return false;
      },
    });
    const source = world.source();
    const all = await buffer(await source.blob(layerOf(world)));
    const part = await buffer(await source.blob(layerOf(world), { range: { start: 1000, end: 1300 } }));
    assert.deepEqual(part, all.subarray(1000, 1300));
  });
}

const user = { userName: 'me', password: 'secret' };
for (const auth of ['basic', 'bearer'] as const) {
  test(`4 ${auth}: who may read reads, and is asked for it once`, async (t) => {
    const world = await open(t, { auth, ...user });
    const source = world.source(user);
    await readImage(source);
    await buffer(await source.blob(layerOf(world)));
    const refused = world.registry.requests.filter(({ authorization }) => authorization === undefined);
    assert.equal(refused.length, 1);
    assert.equal(
      world.registry.requests.filter(({ path }) => path.startsWith('/token')).length,
      auth === 'bearer' ? 1 : 0,
    );
  });

  test(`4 ${auth}: who may not is told so`, async (t) => {
    const world = await open(t, { auth, ...user });
    for (const setting of [{}, { ...user, password: 'wrong' }]) {
      await assert.rejects(() => readImage(world.source(setting)), failsWith('IMAGE_ACCESS_DENIED', /./u));
    }
  });
}

test('4 what is not there, and what cannot be reached', async (t) => {
  const world = await open(t);
  await assert.rejects(
    () => readImage(world.source({}, `${world.registry.host}/app:no`)),
    failsWith('IMAGE_NOT_FOUND', /not known here/u),
  );
  await world.registry.stop();
  await assert.rejects(() => readImage(world.source()), failsWith('REGISTRY_FAILED', /cannot be reached/u));
});

test('4 a registry that is busy is asked again, and given up in the end', async (t) => {
  let left = 2;
  const busy = await open(t, {
    before: (_seen, response) => {
      left -= 1;
      if (left < 0) return false;
      response.writeHead(left === 1 ? 429 : 503, { 'Retry-After': '0' }).end();
      return true;
    },
  });
  assert.equal((await readImage(busy.source())).digest, busy.written.digest);
  const dead = await open(t, {
    before: (_seen, response) => {
      response.writeHead(500).end();
      return true;
    },
  });
  await assert.rejects(() => readImage(dead.source()), failsWith('REGISTRY_FAILED', /status 500/u));
});

test('a redirect to another server takes no credentials along', async (t) => {
  const world = await open(t, { auth: 'bearer', ...user, redirectsBlobs: true });
  const source = world.source(user);
  await readImage(source);
  await buffer(await source.blob(layerOf(world), { range: { start: 0, end: 10 } }));
  const elsewhere = world.registry.requests.filter(({ isElsewhere }) => isElsewhere);
  assert.ok(elsewhere.length >= 2);
  assert.ok(elsewhere.every(({ authorization }) => authorization === undefined));
  assert.ok(elsewhere.some(({ range }) => range === 'bytes=0-9'));
});

test('the parts of a blob behind the first are asked for where it was found, until it is there no more', async (t) => {
  const refusing = { isOn: false };
  const world = await open(t, {
    auth: 'bearer',
    ...user,
    redirectsBlobs: true,
    before: ({ isElsewhere }, response) => {
      if (!isElsewhere || !refusing.isOn) return false;
      refusing.isOn = false;
      response.writeHead(403).end();
      return true;
    },
  });
  const source = world.source(user);
  const layer = layerOf(world);
  const whole = await buffer(await source.blob(layer));
  const { requests } = world.registry;
  const asked = async (start: number): Promise<string> => {
    requests.length = 0;
    const part = await buffer(await source.blob(layer, { range: { start, end: start + 10 } }));
    assert.deepEqual(part, whole.subarray(start, start + 10));
    assert.ok(requests.every((each) => !each.isElsewhere || each.authorization === undefined));
    return requests.map(({ isElsewhere }) => (isElsewhere ? 'store' : 'registry')).join(' ');
  };
  assert.equal(await asked(0), 'store');
  assert.equal(await asked(10), 'store');
  refusing.isOn = true;
  assert.equal(await asked(20), 'store registry store');
  assert.equal(await asked(30), 'store');
});

test('redirects without end, and to plain HTTP of others, are refused', async (t) => {
  const redirecting = (location: (path: string) => string): Promise<World> =>
    open(t, {
      before: ({ path }, response) => {
        response.writeHead(307, { Location: location(path) }).end();
        return true;
      },
    });
  const round = await redirecting((path) => path);
  await assert.rejects(
    () => round.source().manifest(),
    failsWith('REGISTRY_FAILED', /more than 5 redirects/u),
  );
  const away = await redirecting(() => 'http://registry.invalid/x');
  await assert.rejects(() => away.source().manifest(), failsWith('REGISTRY_FAILED', /securely/u));
});

test('a manifest without end is refused', async (t) => {
  const world = await open(t, {
    before: (_seen, response) => {
      response.end(Buffer.alloc(5 * 1024 * 1024, ' '));
      return true;
    },
  });
  await assert.rejects(() => world.source().manifest(), failsWith('IMAGE_TOO_LARGE', /manifest latest/u));
});

test('of a list the image for this machine is taken', async (t) => {
  const layout = join(await temporaryDirectory(t), 'l');
  const own = await writeOciLayout(layout, { layers: [[{ name: 'own' }]], tag: 'own' });
  const other = await writeOciLayout(layout, {
    layers: [[{ name: 'other' }]],
    tag: 'other',
    architecture: 'mips',
  });
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
  const list = (platforms: readonly [string, string][]): string =>
    JSON.stringify({
      schemaVersion: 2,
      manifests: platforms.map(([digest, of]) => ({
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        digest,
        size: 1,
        platform: { os: 'linux', architecture: of },
      })),
    });
  const serving = async (body: string): Promise<BlobSource> => {
    const registry = await startRegistry(t, {
      layout,
      before: ({ path }, response) => {
        if (!path.endsWith('/manifests/latest')) return false;
        response.writeHead(200, { 'Content-Type': 'application/vnd.oci.image.index.v1+json' }).end(body);
        return true;
      },
    });
    const source = openSource(parseImageReference(`${registry.host}/app`), {}, []);
    t.after(() => source.close());
    return source;
  };
  const both = await serving(
    list([
      [other.digest, 'mips'],
      [own.digest, architecture],
    ]),
  );
  assert.equal((await readImage(both)).digest, own.digest);
  const foreign = await serving(list([[other.digest, 'mips']]));
  await assert.rejects(
    () => readImage(foreign),
    failsWith('INVALID_IMAGE', /is for linux\/mips, not for linux/u),
  );
});
