import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findImageUser } from './image-user.ts';

const FILES: Readonly<Record<string, string>> = {
  '/etc/passwd': 'root:x:0:0::/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\nbare:x:7:7:::\n',
  '/etc/group': 'root:x:0:\nweb:x:34:\nextra:x:50:web,other\nmore:x:51:other\n',
};
const read = (path: string): string | undefined => FILES[path];

test('users are found by name and number, in the files of the image', () => {
  assert.deepEqual(findImageUser('', read), { uid: 0, gid: 0, groups: [], home: '/root' });
  assert.deepEqual(findImageUser('web', read), { uid: 33, gid: 34, groups: [50], home: '/srv' });
  assert.deepEqual(findImageUser('33', read), { uid: 33, gid: 34, groups: [50], home: '/srv' });
  assert.deepEqual(findImageUser('web:extra', read), { uid: 33, gid: 50, groups: [], home: '/srv' });
  assert.deepEqual(findImageUser('99:98', read), { uid: 99, gid: 98, groups: [], home: '/' });
  assert.deepEqual(
    findImageUser('99', () => undefined),
    { uid: 99, gid: 0, groups: [], home: '/' },
  );
  assert.deepEqual(findImageUser('bare', read), { uid: 7, gid: 7, groups: [], home: '/' });
});

test('a user or group that the image does not have is an error', () => {
  for (const user of ['nobody', 'web:nobody', '-1', '99999999999', 'a b'])
    assert.throws(() => findImageUser(user, read), { code: 'INVALID_IMAGE' }, user);
});
