import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { LayerEntry } from '../layer/layer-entry.ts';
import type { ImageNode } from './image-tree.ts';
import { mergeLayers } from './merge-layers.ts';

function entry(path: string, kind: LayerEntry['kind'] = 'file', linkTarget = '', uid = 0): LayerEntry {
  return {
    path,
    kind,
    mode: 0o644,
    uid,
    gid: 0,
    mtimeNs: 1n,
    size: 0,
    linkTarget,
    xattrs: new Map(),
    chunks: [],
  };
}

const byName = (children: ReadonlyMap<string, ImageNode>): [string, ImageNode][] =>
  [...children].toSorted(([left], [right]) => (left < right ? -1 : 1));

/** `path` or `path -> target`, with the layer of each. */
function listing(layers: readonly (readonly LayerEntry[])[]): string[] {
  const lines: string[] = [];
  const walk = (node: ImageNode, path: string): void => {
    if (path !== '')
      lines.push(node.kind === 'symlink' ? `${path} -> ${node.target}` : `${path} ${node.layer}`);
    if (node.kind !== 'directory') return;
    for (const [name, child] of byName(node.children)) walk(child, `${path}/${name}`);
  };
  walk(mergeLayers(layers), '');
  return lines;
}

test('later layers replace, directories keep what is in them', () => {
  const lower = [entry('a', 'directory'), entry('a/one'), entry('a/two'), entry('b')];
  const upper = [entry('a', 'directory'), entry('a/two'), entry('b', 'directory'), entry('b/new')];
  assert.deepEqual(listing([lower, upper]), ['/a 1', '/a/one 0', '/a/two 1', '/b 1', '/b/new 1']);
});

test('whiteouts take away lower files and never their own layer’s', () => {
  const lower = [entry('a', 'directory'), entry('a/one'), entry('a/two')];
  const upper = [entry('a/two'), entry('a/.wh.one'), entry('a/.wh.two'), entry('a/.wh.three')];
  assert.deepEqual(listing([lower, upper]), ['/a 0', '/a/two 1']);
});

test('an opaque directory hides all that lower layers put there, at any depth', () => {
  const lower = [entry('a', 'directory'), entry('a/b', 'directory'), entry('a/b/c'), entry('a/d')];
  const upper = [entry('a', 'directory'), entry('a/b', 'directory'), entry('a/e'), entry('a/.wh..wh..opq')];
  assert.deepEqual(listing([lower, upper]), ['/a 1', '/a/b 1', '/a/e 1']);
  assert.deepEqual(listing([lower, [entry('.wh..wh..opq')]]), []);
});

test('a hard link names one file under two names, also of a lower layer', () => {
  const root = mergeLayers([
    [entry('a', 'directory'), entry('a/file')],
    [entry('b', 'hardlink', 'a/file')],
    [entry('a/.wh.file')],
  ]);
  assert.equal(root.children.get('b')?.kind, 'file');
  const { children } = mergeLayers([[entry('file'), entry('link', 'hardlink', 'file')]]);
  assert.equal(children.get('file'), children.get('link'));
});

test('entries follow relative links that stay in the image', () => {
  const lower = [
    entry('usr', 'directory'),
    entry('usr/lib', 'directory'),
    entry('lib', 'symlink', 'usr/lib'),
  ];
  const upper = [entry('lib/x'), entry('lib/.wh.y'), entry('missing/parent/z')];
  const up = [entry('usr/up', 'symlink', '../usr/./lib/'), entry('usr/up/w')];
  assert.deepEqual(listing([[...lower, entry('usr/lib/y')], upper, up]), [
    '/lib -> usr/lib',
    '/missing 1',
    '/missing/parent 1',
    '/missing/parent/z 1',
    '/usr 0',
    '/usr/lib 0',
    '/usr/lib/w 2',
    '/usr/lib/x 1',
    '/usr/up -> ../usr/./lib/',
  ]);
});

test('the root directory takes its owner from the layers', () => {
  assert.equal(mergeLayers([[entry('', 'directory', '', 5)]]).uid, 5);
});

test('links that point out of the image are followed inside it', () => {
  const absolute = [entry('out', 'symlink', '/tmp'), entry('out/file')];
  assert.deepEqual(listing([absolute]), ['/out -> /tmp', '/tmp 0', '/tmp/file 0']);
  const climbing = [entry('out', 'symlink', '../../tmp'), entry('out/file')];
  assert.deepEqual(listing([climbing]), ['/out -> ../../tmp', '/tmp 0', '/tmp/file 0']);
});

const HOSTILE: Readonly<Record<string, readonly LayerEntry[]>> = {
  'through links in a circle': [entry('a', 'symlink', 'b'), entry('b', 'symlink', 'a'), entry('a/file')],
  'through a file': [entry('a'), entry('a/file')],
  'a hard link to what is not there': [entry('a', 'hardlink', 'etc/passwd')],
  'a hard link out of the tree': [entry('out', 'symlink', '/etc'), entry('a', 'hardlink', 'out/passwd')],
  'a hard link to a directory': [entry('d', 'directory'), entry('a', 'hardlink', 'd')],
  'a root that is no directory': [entry('', 'symlink', 'elsewhere')],
};

test('what cannot be in the image is refused', () => {
  for (const [what, entries] of Object.entries(HOSTILE)) {
    assert.throws(
      () => mergeLayers([entries]),
      (error: unknown) => error instanceof ThawError && error.code === 'INVALID_IMAGE',
      what,
    );
  }
});
