import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

const run = promisify(execFile);
/** Nobody: an ordinary user whom every machine has. */
const USER = 65_534;
const TRIAL = join(import.meta.dirname, 'relay-trial.ts');
const isRoot = process.getuid?.() === 0;
const become = isRoot ? [`--reuid=${USER}`, `--regid=${USER}`, '--clear-groups'] : [];

/** Runs a program as an ordinary user: through `setpriv` where this is root, through `env` otherwise. */
const AS_USER = isRoot ? 'setpriv' : 'env';

test('an ordinary user reaches servers on equal ports in sandboxes', { skip: whyNot() }, async (context) => {
  const directory = mkdtempSync(join(tmpdir(), 'thaw-relay-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  if (isRoot) chownSync(directory, USER, USER);
  const { stdout } = await run(AS_USER, [...become, process.execPath, TRIAL, directory]);
  assert.deepEqual(JSON.parse(stdout), {
    addresses: [{ path: join(directory, 'one') }, { path: join(directory, 'two') }],
    answers: ['heard one on lo', 'heard two on lo'],
  });
});

function whyNot(): string | false {
  for (const name of ['bwrap', 'unshare', 'nsenter', 'ip', AS_USER]) {
    if (spawnSync(name, ['-V']).error !== undefined) return `${name} is not installed`;
  }
  const reading = spawnSync(AS_USER, [...become, process.execPath, '--check', TRIAL]);
  if (reading.status !== 0) return 'an ordinary user cannot read these files';
  const making = spawnSync(AS_USER, [...become, 'unshare', '--user', '--map-root-user', '--net', 'true']);
  return making.status === 0 ? false : 'ordinary users cannot make namespaces here';
}
