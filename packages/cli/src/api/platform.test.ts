import assert from 'node:assert/strict';
import { test } from 'node:test';
import { temporaryDirectory } from '../../test/temporary-directory.ts';
import { findPlatform, isLocalPlatform } from './platform.ts';

const FROM_ENVIRONMENT = {
  THAW_ENDPOINT: '10.0.0.1:8080/',
  THAW_ACCESS_KEY_ID: 'id',
  THAW_ACCESS_KEY_SECRET: 'secret',
};

test('by the data directory: its address and its key', async () => {
  await using directory = await temporaryDirectory();
  const search = { dataDir: directory.path, isDataDirGiven: true, environment: FROM_ENVIRONMENT };
  await assert.rejects(findPlatform(search), { code: 'PLATFORM_UNREACHABLE' });
  await directory.write('daemon.json', '{"pid":1,"url":"http://127.0.0.1:1234/"}');
  await assert.rejects(findPlatform(search), { code: 'SIGNATURE_MISSING' });
  await directory.write('credentials.json', '{"accessKeyId":"a","accessKeySecret":"b"}');
  assert.deepEqual(await findPlatform(search), {
    url: 'http://127.0.0.1:1234',
    accessKeyId: 'a',
    accessKeySecret: 'b',
  });
  await directory.write('daemon.json', '{broken');
  await assert.rejects(findPlatform(search), { code: 'INVALID_JSON' });
});

test('by the environment, unless a data directory was named', async () => {
  const search = { dataDir: '/none', isDataDirGiven: false, environment: FROM_ENVIRONMENT };
  const platform = await findPlatform(search);
  assert.deepEqual(platform, { url: 'http://10.0.0.1:8080', accessKeyId: 'id', accessKeySecret: 'secret' });
  assert.equal(isLocalPlatform(platform), false);
  assert.ok(isLocalPlatform({ ...platform, url: 'http://[::1]:80' }));
  const { THAW_ENDPOINT } = FROM_ENVIRONMENT;
  await assert.rejects(findPlatform({ ...search, environment: { THAW_ENDPOINT } }), {
    code: 'SIGNATURE_MISSING',
  });
  await assert.rejects(findPlatform({ ...search, isDataDirGiven: true }), { code: 'PLATFORM_UNREACHABLE' });
});
