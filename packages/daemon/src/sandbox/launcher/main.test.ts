import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { it } from 'node:test';
import { temporaryDirectory } from '@thaw/testkit/platform.ts';
import type { LauncherRequest } from './messages.ts';

it('ends with its standard input, also while the channel to the daemon stands', async (t) => {
  const runDirectory = await temporaryDirectory(t, 'thaw launcher ');
  const child = fork(fileURLToPath(new URL('main.ts', import.meta.url)), {
    stdio: ['pipe', 'inherit', 'inherit', 'ipc'],
  });
  t.after(() => child.kill('SIGKILL'));
  const exited = once(child, 'exit');
  const open: LauncherRequest = {
    type: 'open',
    options: { runDirectory, isolation: 'process', kernelThread: false, spareNetworks: 0, idleNetworks: 0 },
  };
  child.send(open);
  const [opened] = await once(child, 'message');
  assert.equal(opened.type, 'opened');
  child.stdin?.end();
  assert.deepEqual(await exited, [0, null]);
});
