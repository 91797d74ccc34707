import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { temporaryDirectory } from '../../test/temporary-directory.ts';
import { watchCode } from './watch-code.ts';

const WAIT_MS_MAX = 10_000;
const POLL_MS = 5;

test('tells of changed, new and deleted files, but not of ignored ones', async () => {
  await using directory = await temporaryDirectory();
  await directory.write('index.js', '1');
  await directory.write('.fcignore', '*.log\nbuild/\n');
  await directory.write('build/out.js', '1');
  await directory.write('.git/HEAD', '1');
  const seen: string[] = [];
  await using stack = new AsyncDisposableStack();
  stack.use(await watchCode(directory.path, (path) => seen.push(path)));
  const waitFor = async (path: string): Promise<void> => {
    const end = performance.now() + WAIT_MS_MAX;
    while (!seen.includes(path)) {
      assert.ok(performance.now() < end, `waited too long for ${path}`);
      await delay(POLL_MS);
    }
  };
  for (const name of ['debug.log', 'build/out.js', '.git/HEAD']) await directory.write(name, '2');
  await directory.write('index.js', '2');
  await waitFor(join(directory.path, 'index.js'));
  await directory.write('lib/new.js', '1');
  await waitFor(join(directory.path, 'lib/new.js'));
  assert.deepEqual(
    seen.filter((path) => /debug|build|git/.test(path)),
    [],
  );
});
