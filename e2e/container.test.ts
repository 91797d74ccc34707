import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { writeOciLayout } from '@thaw/testkit/oci-layout.ts';
import { startPlatform, temporaryDirectory } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { missingCompiler, sampleImage } from './fixtures/container/sample-image.ts';
import { missingProgram, missingSandbox } from './fixtures/requirements.ts';
import { createContainer, deployContainer, getFunction, layoutWith } from './support/containers.ts';
import { functionErrorOf, invoke } from './support/functions.ts';
import { jsonOf } from './support/http-call.ts';

const isRoot = process.getuid?.() === 0;

interface Whoami {
  readonly uid: number;
  readonly gid: number;
  readonly groups: number[] | null;
  readonly cwd: string;
  readonly env: string[];
  readonly args: string[];
}

test('functions in images', { skip: missingCompiler() ?? false }, async (all) => {
  const platform = await startPlatform(all);
  const skip = (await missingSandbox(platform)) ?? false;

  await all.test('a web server runs from its image alone', { skip }, async (t) => {
    const { name } = await layoutWith(t, await sampleImage('web'));
    const call = await deployContainer(platform, 'plain', { image: name });
    const me = jsonOf<Whoami>(await call('/whoami'));
    assert.deepEqual([me.uid, me.gid, me.cwd, me.args], [0, 0, '/', ['/app/sample', 'web']]);
    assert.ok(me.env.includes('HOME=/root') && me.env.includes('PORT=9000'), me.env.join('\n'));
    assert.equal((await call('/list?path=/')).body.toString(), 'app dev etc home proc root run sys tmp');
    assert.equal((await invoke(platform, 'plain', 'an event')).body.toString(), 'an event');
    // Root in the image may do what it likes with what is its own, and nothing beyond.
    assert.equal((await call('/write?path=/app/new', 'x')).status, 200);
    // An ordinary user's platform has one id to give.
    if (isRoot) assert.equal((await call('/chown?path=/app/new')).status, 200);
    assert.equal((await call('/write?path=/proc/sys/kernel/core_pattern', 'x')).status, 409);
    assert.equal((await call('/read?path=/etc/shadow')).status, 409);
    const status = (await call('/read?path=/proc/self/status')).body.toString();
    // CHOWN to SETPCAP, NET_BIND_SERVICE and SETFCAP: over ids of the image's own range.
    const rights = isRoot ? '00000000800005fb' : '0000000000000000';
    for (const line of [`CapEff:\t${rights}`, 'NoNewPrivs:\t1', 'Seccomp:\t2'])
      assert.ok(status.includes(line), status);
  });

  await all.test(
    'user, groups, directory, variables and command are those of the image',
    { skip },
    async (t) => {
      const config = {
        User: 'worker',
        WorkingDir: '/home/worker/new',
        Env: ['PATH=/app:/bin', 'GREETING=from the image', 'KEPT=yes'],
      };
      const { name } = await layoutWith(t, await sampleImage('web', { config }));
      const call = await deployContainer(
        platform,
        'configured',
        { image: name, entrypoint: ['sample'], command: ['web', 'more'], port: 8081 },
        { environmentVariables: { GREETING: 'from the function' } },
      );
      const me = jsonOf<Whoami>(await call('/whoami'));
      assert.deepEqual([me.uid, me.gid, me.groups], [1234, 1235, isRoot ? [1300] : null]);
      assert.equal(me.cwd, '/home/worker/new');
      assert.deepEqual(me.args, ['sample', 'web', 'more']);
      const variables = new Set(me.env);
      for (const variable of [
        'GREETING=from the function',
        'KEPT=yes',
        'HOME=/home/worker',
        'PORT=8081',
        'PATH=/app:/bin',
      ])
        assert.ok(variables.has(variable), `${variable} in ${me.env.join(' ')}`);
      assert.equal((await call('/write?path=here', 'x')).status, 200);
      // There every file of the image is the user's.
      if (isRoot) assert.equal((await call('/write?path=/app/not-mine', 'x')).status, 409);
      if (isRoot) assert.equal((await call('/list?path=/root')).status, 409);
    },
  );

  await all.test('an instance writes to a layer of its own, and to a bound', { skip }, async (t) => {
    const { name } = await layoutWith(t, await sampleImage('web'));
    const call = await deployContainer(
      platform,
      'writes',
      { image: name },
      { memorySize: 256, diskSize: 512 },
    );
    const another = await deployContainer(platform, 'writes-too', { image: name });
    assert.equal((await call('/write?path=/app/mine', 'mine')).status, 200);
    assert.equal((await call('/read?path=/app/mine')).body.toString(), 'mine');
    assert.equal((await another('/read?path=/app/mine')).status, 409);
    assert.doesNotMatch((await another('/list?path=/app')).body.toString(), /mine/u);
  });

  await all.test('a hot function runs in an image', { skip }, async (t) => {
    const { name } = await layoutWith(t, await sampleImage('hot'));
    const created = await createContainer(
      platform,
      'hot',
      { image: name },
      { hotConfig: { format: 'http' } },
    );
    assert.equal(created.status, 200, created.body.toString());
    const [first, second] = [await invoke(platform, 'hot', 'one'), await invoke(platform, 'hot', 'two')];
    assert.match(first.body.toString(), /^hot \d+ one$/u);
    assert.equal(second.body.toString(), first.body.toString().replace('one', 'two'));
  });

  await all.test('an action container gets init once and run for each call', { skip }, async (t) => {
    const { name } = await layoutWith(t, await sampleImage('action'));
    const call = await deployContainer(platform, 'action', { image: name, actionContainer: true });
    const answer = await invoke(platform, 'action', JSON.stringify({ a: 1 }));
    assert.deepEqual(jsonOf(answer), { given: { a: 1 }, initialised: true });
    assert.equal(
      functionErrorOf(await invoke(platform, 'action', '{"fail":"on purpose"}')).errorMessage,
      'on purpose',
    );
    assert.match(functionErrorOf(await invoke(platform, 'action', 'no json')).errorMessage, /JSON object/u);
    const web = jsonOf<{ given: Record<string, unknown> }>(await call('/a/path?q=1'));
    assert.deepEqual(
      [web.given['q'], web.given['__ow_method'], web.given['__ow_path']],
      ['1', 'get', '/a/path'],
    );
    const { stdout } = await platform.thaw(['logs', 'action']);
    assert.match(stdout.toString(), /ran /u);
    assert.doesNotMatch(stdout.toString(), /XXX_THE_END/u);
  });

  await all.test('s.yaml deploys images, and images are listed', { skip }, async (t) => {
    const { name, directory, written } = await layoutWith(t, await sampleImage('web'));
    const project = await temporaryDirectory(t);
    const file = [
      'edition: 3.0.0',
      'resources:',
      '  app:',
      '    component: fc3',
      '    props:',
      '      functionName: from-yaml',
      '      runtime: custom-container',
      '      memorySize: 128',
      '      customContainerConfig:',
      `        image: ${JSON.stringify(name)}`,
    ];
    await writeFile(join(project, 's.yaml'), `${file.join('\n')}\n`);
    const deploy = async (): Promise<string> => {
      const { code, stdout, stderr } = await platform.thaw(['deploy'], { cwd: project });
      assert.equal(code, 0, stderr);
      return `${stdout.toString()}${stderr}`;
    };
    await deploy();
    assert.equal((await invoke(platform, 'from-yaml', 'event')).body.toString(), 'event');
    assert.match(await deploy(), /unchanged/u);
    const listed: { digest: string; state: string; usedBy: { functionName: string }[] }[] = JSON.parse(
      (await platform.thaw(['image', 'ls', '--json'])).stdout.toString(),
    );
    const own = listed.find(({ digest }) => digest === written.digest);
    assert.equal(own?.state, 'ready');
    assert.ok(own.usedBy.some(({ functionName }) => functionName === 'from-yaml'));
    const inspected = await platform.thaw(['image', 'inspect', written.digest.slice(0, 20)]);
    assert.match(inspected.stdout.toString(), /command +web/u);
    assert.equal((await platform.thaw(['image', 'inspect', 'abcdef'])).code, 2);
    const next = await writeOciLayout(directory, await sampleImage('web', { config: { Env: ['NEXT=1'] } }));
    assert.match(await deploy(), new RegExp(next.digest.slice('sha256:'.length), 'u'));
  });

  const runc =
    skip ||
    (missingProgram('runc') ?? (process.getuid?.() === 0 ? false : 'only root can run containers by runc'));
  await all.test('a function may ask for runc', { skip: runc }, async (t) => {
    const { name } = await layoutWith(t, await sampleImage('web', { config: { User: 'worker' } }));
    const environmentVariables = { THAW_ISOLATION: 'runc' };
    const call = await deployContainer(platform, 'by-runc', { image: name }, { environmentVariables });
    const whoami = await call('/whoami');
    assert.equal(whoami.status, 200, whoami.body.toString());
    const me = jsonOf<Whoami>(whoami);
    assert.deepEqual([me.uid, me.gid, me.groups], [1234, 1235, [1300]]);
    assert.equal((await call('/write?path=/home/worker/x', 'x')).status, 200);
    assert.equal((await call('/write?path=/app/x', 'x')).status, 409);
    const hot = await layoutWith(t, await sampleImage('hot'));
    await createContainer(
      platform,
      'hot-by-runc',
      { image: hot.name },
      { environmentVariables, hotConfig: {} },
    );
    assert.match((await invoke(platform, 'hot-by-runc', 'one')).body.toString(), /^hot \d+ one$/u);
    const wrong = await createContainer(
      platform,
      'by-none',
      { image: name },
      { environmentVariables: { THAW_ISOLATION: 'no' } },
    );
    assert.equal(wrong.status, 400);
  });

  await all.test('what cannot be run is refused when it is deployed, and says why', { skip }, async (t) => {
    const image = await sampleImage('web');
    const { name } = await layoutWith(t, image);
    const refused = async (config: Record<string, unknown>, fields = {}): Promise<string> => {
      const answer = await createContainer(platform, 'refused', config, fields);
      const { Code, Message } = jsonOf<{ Code: string; Message: string }>(answer);
      return `${answer.status} ${Code}: ${Message}`;
    };
    assert.match(await refused({ image: `${name}-not-there` }), /^404 ImageNotFound: /u);
    assert.match(await refused({ image: 'Not A Name' }), /^400 InvalidArgument: the image "Not A Name"/u);
    assert.match(
      await refused({ image: '127.0.0.1:1/a' }),
      /^503 ImageRegistryUnavailable: registry 127.0.0.1:1/u,
    );
    assert.match(await refused({}), /^400 InvalidArgument: customContainerConfig.image is required/u);
    const foreign = await layoutWith(t, { ...image, architecture: 'mips' });
    assert.match(await refused({ image: foreign.name }), /^400 InvalidImage: .*is for linux\/mips/u);
    const silent = await layoutWith(t, { ...image, config: {} });
    assert.match(await refused({ image: silent.name }), /^400 InvalidImage: neither the image nor/u);
    assert.match(await refused({ image: name }, { layers: ['a'] }), /^400 InvalidArgument: layers/u);
  });

  await all.test('an image that cannot be unpacked is told of by state and call', { skip }, async (t) => {
    const image = await sampleImage('web', { layers: [[{ name: '../outside', content: 'x' }]] });
    const { name } = await layoutWith(t, image);
    assert.equal((await createContainer(platform, 'hostile', { image: name })).status, 200);
    const failed = await waitFor('the image to have failed', async () => {
      const found = await getFunction(platform, 'hostile');
      return found.state === 'Failed' ? found : undefined;
    });
    assert.equal(failed.stateReasonCode, 'INVALID_IMAGE');
    assert.match(failed.stateReason ?? '', /entry "\.\.\/outside": its name leads out/u);
    const answer = await invoke(platform, 'hostile');
    assert.equal(answer.status, 400, answer.body.toString());
    assert.match(answer.body.toString(), /its name leads out/u);
  });

  await all.test('a user that the image does not have is an error of the start', { skip }, async (t) => {
    const { name } = await layoutWith(t, await sampleImage('web', { config: { User: 'nobody-knows' } }));
    assert.equal((await createContainer(platform, 'no-user', { image: name })).status, 200);
    const answer = await invoke(platform, 'no-user');
    assert.match(answer.body.toString(), /runs as .+nobody-knows.+, a user that it does not have/u);
  });
});
