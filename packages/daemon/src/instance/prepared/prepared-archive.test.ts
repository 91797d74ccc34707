import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { receiveArchive } from './prepared-archive.ts';

const LIMITS = { bytesMax: 100, filesMax: 3 };
const END = '{"end":true}\n';

async function received(chunks: readonly (string | Buffer)[]) {
  const directory = await mkdtemp(join(tmpdir(), 'thaw-archive-'));
  try {
    const paths = await receiveArchive(
      Readable.from(chunks.map((chunk) => Buffer.from(chunk))),
      directory,
      LIMITS,
    );
    return await Promise.all(
      paths.map(async (path) => [path, await readFile(join(directory, path), 'latin1')]),
    );
  } finally {
    await rm(directory, { recursive: true });
  }
}

const file = (path: string, bytes: string): string =>
  `${JSON.stringify({ path, size: bytes.length })}\n${bytes}`;

test('files come out as they went in, however the stream is cut', async () => {
  const whole = file('cache/v1/a', 'one\ntwo') + file('code/b.pyc', '') + file('layers/c/d', '\0ÿ') + END;
  const expected = [
    ['cache/v1/a', 'one\ntwo'],
    ['code/b.pyc', ''],
    ['layers/c/d', '\0ÿ'],
  ];
  const bytes = Buffer.from(whole, 'latin1');
  assert.deepEqual(await received([bytes]), expected);
  assert.deepEqual(await received(Array.from(bytes, (byte) => Buffer.from([byte]))), expected);
});

test('what leads elsewhere, comes twice, is too much or breaks off is refused', async () => {
  const cases: [string, string][] = [
    [file('cache/../../etc/passwd', 'x') + END, 'RESPONSE_INVALID'],
    [file('/etc/passwd', 'x') + END, 'RESPONSE_INVALID'],
    [file('elsewhere/a', 'x') + END, 'RESPONSE_INVALID'],
    [file('cache//a', 'x') + END, 'RESPONSE_INVALID'],
    [file('cache/a\0b', 'x') + END, 'RESPONSE_INVALID'],
    ['{"path":"cache/a","size":-1}\n' + END, 'RESPONSE_INVALID'],
    ['printed by the code\n' + END, 'RESPONSE_INVALID'],
    ['x'.repeat(20_000), 'RESPONSE_INVALID'],
    [file('cache/a', 'x'), 'RESPONSE_INVALID'],
    ['{"path":"cache/a","size":9}\nx', 'RESPONSE_INVALID'],
    ['', 'RESPONSE_INVALID'],
    ['{"path":"cache/a","size":101}\n', 'RESPONSE_TOO_LARGE'],
    [['a', 'b', 'c', 'd'].map((name) => file(`cache/${name}`, '')).join('') + END, 'RESPONSE_TOO_LARGE'],
  ];
  for (const [archive, code] of cases)
    await assert.rejects(received([archive]), { code }, archive.slice(0, 80));
  await assert.rejects(received([file('cache/a', 'x') + file('cache/a', 'y') + END]), { code: 'EEXIST' });
});

test('nothing is written outside of the directory', async () => {
  const outside = await mkdtemp(join(tmpdir(), 'thaw-archive-'));
  const inside = join(outside, 'inside');
  await assert.rejects(
    receiveArchive(Readable.from([Buffer.from(file('cache/../../x', 'x'))]), inside, LIMITS),
  );
  assert.deepEqual(await readdir(outside), []);
  await rm(outside, { recursive: true });
});
