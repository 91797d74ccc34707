import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startPlatform } from '@thaw/testkit/platform.ts';
import { missingCompiler, sampleImage } from './fixtures/container/sample-image.ts';
import { missingSandbox } from './fixtures/requirements.ts';
import { deployContainer, layoutWith } from './support/containers.ts';
import { invoke } from './support/functions.ts';
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
});
