import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { startPlatform, temporaryDirectory } from '@thaw/testkit/platform.ts';

test('the command line makes buckets and moves objects', async (t) => {
  const platform = await startPlatform(t, { isolation: 'process' });

  const thaw = async (args: readonly string[], code = 0, input = ''): Promise<string> => {
    const result = await platform.thaw(args, { input });
    assert.equal(result.code, code, result.stderr);
    return code === 0 ? result.stdout.toString() : result.stderr;
  };
  const directory = await temporaryDirectory(t);
  const file = join(directory, 'content');
  await writeFile(file, randomBytes(200_000));
  const key = 'dir/ö <&> "x".bin';
  await thaw(['bucket', 'create', 'by-command']);
  assert.match(await thaw(['bucket', 'create', 'by-command'], 2), /already exists/u);
  await thaw(['object', 'put', 'by-command', key, '-f', file, '--type', 'image/png']);
  await thaw(['object', 'put', 'by-command', 'piped'], 0, 'from standard input');
  await thaw(['object', 'put', 'by-command', 'text', '-d', 'given']);
  assert.equal(await thaw(['object', 'get', 'by-command', 'piped']), 'from standard input');
  assert.equal(await thaw(['object', 'get', 'by-command', 'text']), 'given');
  await thaw(['object', 'get', 'by-command', key, '-o', `${file}.back`]);
  assert.deepEqual(await readFile(`${file}.back`), await readFile(file));
  const read = await thaw(['object', 'list', 'by-command', '--json']);
  assert.equal(JSON.parse(read).length, 3);
  const listed = JSON.parse(await thaw(['object', 'list', 'by-command', '--prefix', 'dir/', '--json']));
  assert.deepEqual(
    listed.map((each: { key: string; size: number }) => [each.key, each.size]),
    [[key, 200_000]],
  );
  assert.match(await thaw(['bucket', 'delete', 'by-command'], 2), /not empty/u);
  assert.match(await thaw(['object', 'get', 'by-command', 'none'], 2), /holds no object 'none'/u);
  for (const each of [key, 'piped', 'text']) await thaw(['object', 'delete', 'by-command', each]);
  await thaw(['bucket', 'delete', 'by-command']);
  const buckets = JSON.parse(await thaw(['bucket', 'list', '--json']));
  assert.deepEqual(
    buckets.map(({ name }: { name: string }) => name),
    [],
  );
});
