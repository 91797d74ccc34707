import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile, symlink, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { fromBufferPromise } from 'yauzl';
import { temporaryDirectory, type TemporaryDirectory } from '../../test/temporary-directory.ts';
import { packCode } from './pack-code.ts';

async function makeTree(directory: TemporaryDirectory): Promise<void> {
  await directory.write('code/index.js', 'exports.handler = () => 1;\n');
  await directory.write('code/bin/tool', '#!/bin/sh\n');
  await chmod(join(directory.path, 'code/bin/tool'), 0o755);
  await directory.write('code/lib/z.js', '');
  await directory.write('code/.git/HEAD', 'ref');
  await directory.write('code/lib/__pycache__/z.pyc', 'no');
  await directory.write('code/secret.txt', 'no');
  await directory.write('code/build/out.js', 'no');
  await directory.write('code/.fcignore', 'secret.txt\nbuild/\n');
  await directory.write('shared/common.js', 'common\n');
  await mkdir(join(directory.path, 'code/empty'));
  await symlink('../index.js', join(directory.path, 'code/lib/inside.js'));
  await symlink('../shared', join(directory.path, 'code/outside'));
}

interface Entry {
  readonly name: string;
  readonly mode: string;
  readonly text: string;
}

async function entriesOf(file: string): Promise<Entry[]> {
  const zip = await fromBufferPromise(await readFile(file), { lazyEntries: true });
  const entries: Entry[] = [];
  for await (const entry of zip.eachEntry()) {
    const mode = (entry.externalFileAttributes >>> 16).toString(8);
    const chunks: Buffer[] = [];
    if (!entry.fileName.endsWith('/')) {
      for await (const chunk of await zip.openReadStreamPromise(entry)) chunks.push(Buffer.from(chunk));
    }
    entries.push({ name: entry.fileName, mode, text: Buffer.concat(chunks).toString() });
  }
  return entries;
}

test('keeps exec bits, inside links and empty directories; follows links that lead outside; obeys .fcignore', async () => {
  await using directory = await temporaryDirectory();
  await makeTree(directory);
  await using zip = await packCode(join(directory.path, 'code'));
  assert.deepEqual(await entriesOf(zip.file), [
    { name: 'bin/tool', mode: '100755', text: '#!/bin/sh\n' },
    { name: 'empty/', mode: '40755', text: '' },
    { name: 'index.js', mode: '100644', text: 'exports.handler = () => 1;\n' },
    { name: 'lib/inside.js', mode: '120777', text: '../index.js' },
    { name: 'lib/z.js', mode: '100644', text: '' },
    { name: 'outside/common.js', mode: '100644', text: 'common\n' },
  ]);
});

test('the same tree gives the same bytes, whatever its times and the time zone', async () => {
  await using first = await temporaryDirectory();
  await using second = await temporaryDirectory();
  await makeTree(first);
  await makeTree(second);
  await utimes(join(second.path, 'code/index.js'), 1_000_000_000, 1_000_000_000);
  await using one = await packCode(join(first.path, 'code'));
  await using two = await packCode(join(second.path, 'code'));
  assert.deepEqual(await readFile(one.file), await readFile(two.file));
  assert.equal(one.checksum, two.checksum);
  const script = `const { packCode } = await import(${JSON.stringify(pathToFileURL(join(import.meta.dirname, 'pack-code.ts')))});
    await using zip = await packCode(process.argv[1]);
    process.stdout.write(zip.checksum);`;
  const elsewhere = await promisify(execFile)(
    process.execPath,
    ['--input-type=module', '-e', script, join(first.path, 'code')],
    { env: { TZ: 'Pacific/Kiritimati' } },
  );
  assert.equal(elsewhere.stdout, one.checksum);
});

test('takes a zip as it is and leaves it where it is', async () => {
  await using directory = await temporaryDirectory();
  const file = await directory.write('code.zip', '123456789');
  {
    await using zip = await packCode(file);
    assert.deepEqual([zip.file, zip.size, zip.checksum], [file, 9, '11051210869376104954']);
  }
  assert.ok(existsSync(file));
});

test('deletes what it made', async () => {
  await using directory = await temporaryDirectory();
  await directory.write('index.js', '');
  const zip = await packCode(directory.path);
  assert.ok(existsSync(zip.file));
  await zip[Symbol.asyncDispose]();
  assert.ok(!existsSync(zip.file));
});

test('refuses a place without code, and a link that leads nowhere', async () => {
  await using directory = await temporaryDirectory();
  await assert.rejects(packCode(join(directory.path, 'none')), { code: 'INVALID_ARGUMENT' });
  await assert.rejects(packCode(directory.path), { code: 'INVALID_ARGUMENT' });
  await symlink('/nowhere/at/all', join(directory.path, 'broken'));
  await assert.rejects(packCode(directory.path), /leads nowhere/);
});
