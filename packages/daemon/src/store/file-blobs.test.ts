import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { testBlobsContract } from './blobs-contract.ts';
import { FileBlobs } from './file-blobs.ts';

const writer = fileURLToPath(new URL('file-blobs-writer.ts', import.meta.url));

async function temporaryDirectory() {
  const path = await mkdtemp(join(tmpdir(), 'thaw-blobs-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

testBlobsContract('FileBlobs', async () => {
  const directory = await temporaryDirectory();
  return {
    open: () => Promise.resolve(new FileBlobs(directory.path)),
    writer: (seed) => [writer, directory.path, seed],
    bytesOnDisk: async () => {
      const entries = await readdir(directory.path, { recursive: true, withFileTypes: true });
      const files = entries.filter((entry) => entry.isFile());
      const sizes = await Promise.all(
        files.map(async (file) => (await stat(join(file.parentPath, file.name))).size),
      );
      return sizes.reduce((sum, size) => sum + size, 0);
    },
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
});

it('FileBlobs clears at open what an interrupted put left, and keeps its files to itself', async () => {
  await using directory = await temporaryDirectory();
  const { digest } = await new FileBlobs(directory.path).put(Buffer.from('x'), 1);
  await writeFile(join(directory.path, 'tmp', 'torn'), 'half');
  const blobs = new FileBlobs(directory.path);
  assert.deepEqual(await readdir(join(directory.path, 'tmp')), []);
  assert.deepEqual(await blobs.list(), [digest]);
  assert.equal((await stat(directory.path)).mode & 0o777, 0o700);
  assert.equal((await stat(blobs.path(digest) ?? '')).mode & 0o777, 0o400);
});
