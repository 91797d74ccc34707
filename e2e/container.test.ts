import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startPlatform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { missingCompiler, sampleImage } from './fixtures/container/sample-image.ts';
import { missingSandbox } from './fixtures/requirements.ts';
import { createContainer, deployContainer, getFunction, layoutWith } from './support/containers.ts';
import { functionErrorOf, invoke } from './support/functions.ts';
import { jsonOf } from './support/http-call.ts';

interface Whoami {
  readonly uid: number;
  readonly gid: number;
  readonly groups: number[];
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
    assert.equal((await call('/chown?path=/app/new')).status, 200);
    assert.equal((await call('/write?path=/proc/sys/kernel/core_pattern', 'x')).status, 409);
    assert.equal((await call('/read?path=/etc/shadow')).status, 409);
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
      assert.deepEqual([me.uid, me.gid, me.groups], [1234, 1235, [1300]]);
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
      assert.equal((await call('/write?path=/app/not-mine', 'x')).status, 409);
      assert.equal((await call('/list?path=/root')).status, 409);
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
