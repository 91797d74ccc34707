import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../../base/clock.ts';
import { testObjectsContract } from '../../objects-contract.ts';
import { afterPrefix } from './key-order.ts';
import { SqliteObjects } from './sqlite-objects.ts';

const writer = fileURLToPath(new URL('sqlite-objects-writer.ts', import.meta.url));

async function temporaryDirectory() {
  const path = await mkdtemp(join(tmpdir(), 'thaw-objects-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

testObjectsContract('SqliteObjects', async () => {
  const directory = await temporaryDirectory();
  return {
    open: () => Promise.resolve(new SqliteObjects(directory.path, systemClock)),
    close: async (objects) => {
      if (objects instanceof SqliteObjects) await objects.close();
    },
    writer: (seed) => [writer, directory.path, seed],
    bytesOnDisk: async () => {
      const entries = await readdir(directory.path, { recursive: true, withFileTypes: true });
      const files = entries.filter((entry) => entry.isFile() && entry.parentPath !== directory.path);
      const sizes = await Promise.all(
        files.map(async (file) => (await stat(join(file.parentPath, file.name))).size),
      );
      return sizes.reduce((sum, size) => sum + size, 0);
    },
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
});

it('SqliteObjects clears at open what no object names, and keeps its files to itself', async () => {
  await using directory = await temporaryDirectory();
  await new SqliteObjects(directory.path, systemClock).close();
  await writeFile(join(directory.path, 'tmp', 'torn'), 'half');
  const objects = new SqliteObjects(directory.path, systemClock);
  assert.deepEqual(await readdir(join(directory.path, 'tmp')), []);
  assert.equal((await stat(directory.path)).mode & 0o777, 0o700);
  assert.equal((await stat(join(directory.path, 'objects.db'))).mode & 0o777, 0o600);
  await objects.close();
});

it('the text after a prefix comes right behind all that begin with it', () => {
  assert.equal(afterPrefix('a/'), 'a0');
  assert.equal(afterPrefix('\uD7FF'), '\uE000');
  assert.equal(afterPrefix('a\u{10FFFF}'), 'b');
  assert.equal(afterPrefix('\u{10FFFF}'), undefined);
  assert.equal(afterPrefix(''), undefined);
});
