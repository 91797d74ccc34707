import assert from 'node:assert/strict';
import { test } from 'node:test';
import { temporaryDirectory } from '../../test/temporary-directory.ts';
import { runPreDeploy } from './pre-deploy.ts';
import { Output } from '../output/output.ts';

const quiet = new Output({ json: true });

test('a pre-deploy command runs in its directory; one that fails says how it ended', async () => {
  await using directory = await temporaryDirectory();
  const { signal } = new AbortController();
  const run = (command: string): Promise<void> =>
    runPreDeploy({ run: command, directory: directory.path }, quiet, signal);
  await run('echo made > made.txt && echo shown');
  await run('test -f made.txt');
  await assert.rejects(run('exit 7'), /`exit 7` ended with exit code 7/);
  await assert.rejects(run('kill -9 $$'), /ended with SIGKILL/);
});

test('an interruption ends a pre-deploy command with all that it started', async () => {
  await using directory = await temporaryDirectory();
  const interruption = new AbortController();
  const running = runPreDeploy(
    { run: 'sleep 600 | cat', directory: directory.path },
    quiet,
    interruption.signal,
  );
  const ended = assert.rejects(running, { code: 'INVALID_ARGUMENT' });
  interruption.abort();
  await ended;
});
