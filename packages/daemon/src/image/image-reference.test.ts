import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatImageReference, parseImageReference, withDigest } from './image-reference.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;

test('names are read as Docker reads them', () => {
  const read = (text: string): string => formatImageReference(parseImageReference(text));
  assert.equal(read('nginx'), 'registry-1.docker.io/library/nginx:latest');
  assert.equal(read('docker.io/me/app:1'), 'registry-1.docker.io/me/app:1');
  assert.equal(read('localhost/app'), 'localhost/app:latest');
  assert.equal(read('127.0.0.1:5000/a/b/c:x'), '127.0.0.1:5000/a/b/c:x');
  assert.equal(read('[::1]:5000/a'), '[::1]:5000/a:latest');
  assert.equal(read(`registry.example.com/ns/app:1@${DIGEST}`), `registry.example.com/ns/app@${DIGEST}`);
  assert.equal(read('oci:/srv/my images/app:1.0'), 'oci:/srv/my images/app:1.0');
  assert.equal(read('oci:/srv/../srv/app'), 'oci:/srv/app');
  assert.equal(read(`oci:/srv/app@${DIGEST}`), `oci:/srv/app@${DIGEST}`);
  assert.equal(
    formatImageReference(withDigest(parseImageReference('nginx:1'), DIGEST)),
    `registry-1.docker.io/library/nginx@${DIGEST}`,
  );
});

test('what is no name is refused', () => {
  const wrong = [
    '',
    'UPPER',
    'a b',
    'a:b c',
    'host.com/',
    'host.com/a@sha256:1',
    'oci:relative/path',
    '-x.com/a',
    'a'.repeat(2000),
    'host.com/a/../b',
  ];
  for (const text of wrong)
    assert.throws(() => parseImageReference(text), { code: 'INVALID_ARGUMENT' }, text);
});
