import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { ROOT, runThaw, temporaryDirectory } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { processesWith } from './fixtures/host-traces.ts';
import { missingNpmIndex, missingPythonIndex } from './fixtures/requirements.ts';
import { startProgram, type RunningCommand } from './fixtures/running-command.ts';
import { send } from './support/http-call.ts';

/** Packages are installed and a slow example starts meanwhile. */
const UP_MS_MAX = 150_000;
/** By which the processes of this test are told from others. */
const MARK = 'THAW_TEST_START';

test('npm start deploys and calls the examples, and does so once', async (t) => {
  const skip = missingInstallation() ?? (await missingNpmIndex()) ?? (await missingPythonIndex());
  if (skip !== undefined) {
    t.skip(skip);
    return;
  }
  const dataDir = await temporaryDirectory(t, 'thaw data ');

  const first = await start(t, dataDir, 'first');
  const said = first.output();
  for (const answer of ['hello Node', 'hello Python', '<h1>Notes</h1>', '<h1>Guest book</h1>']) {
    assert.ok(said.includes(answer), said);
  }
  assert.match(said, /\$ thaw invoke thumbnail -f examples\/thumbnail\/picture\.jpg --timeline\n/);
  assert.match(said, /\n\d+ bytes\n/);
  assert.match(said, /timeline: .*handler;dur=/);
  assert.match(said, /cold start · /);
  assert.equal(first.exitCode, null, 'it stays up');
  const page = await send(urlOf(dataDir), { path: '/http/express-app/web/' });
  assert.equal(page.status, 200);
  await end(first, 'SIGINT', dataDir, 'first');

  const second = await start(t, dataDir, 'second');
  assert.match(second.output(), /The examples are deployed already\./);
  assert.doesNotMatch(second.output(), /Deploying/);
  const answer = await runThaw(['invoke', 'hello-python', '-d', '{"name":"again"}', '--data-dir', dataDir]);
  assert.equal(answer.stdout.toString(), 'hello again', answer.stderr);
  await end(second, 'SIGTERM', dataDir, 'second');
});

async function start(t: TestContext, dataDir: string, run: string): Promise<RunningCommand> {
  const args = ['scripts/start.mjs', '--', '--port', '0', '--data-dir', dataDir];
  const command = startProgram(t, oldNode(), args, { [MARK]: `${run} ${dataDir}` });
  await waitFor(
    'npm start to be up',
    () => {
      assert.equal(command.exitCode, null, command.output());
      return command.output().includes('Ctrl-C stops it');
    },
    UP_MS_MAX,
  );
  return command;
}

async function end(
  command: RunningCommand,
  signal: NodeJS.Signals,
  dataDir: string,
  run: string,
): Promise<void> {
  assert.equal(await command.stop(signal), 0, command.output());
  assert.equal(existsSync(join(dataDir, 'daemon.json')), false);
  assert.deepEqual(await processesWith(`${MARK}=${run} ${dataDir}\0`), [], 'no process is left');
}

/** The oldest that is promised to work, so that finding the right engine is part of what is tried. */
function oldNode(): string {
  const candidates = [
    join(ROOT, 'runtimes/conformance/engines/node_modules/node-20/bin/node'),
    '/usr/bin/node',
  ];
  return candidates.find((path) => existsSync(path) && majorOf(path) >= 20) ?? process.execPath;
}

function majorOf(path: string): number {
  return Number.parseInt(execFileSync(path, ['-p', 'process.versions.node'], { encoding: 'utf8' }), 10);
}

/** Started on its own, this test would install into the checkout that the others run from. */
function missingInstallation(): string | undefined {
  const isInstalled = existsSync(join(ROOT, 'node_modules/.thaw-installed'));
  return isInstalled ? undefined : 'not installed: what `npm test` installs before it runs the tests';
}

function urlOf(dataDir: string): string {
  const { url }: { url: string } = JSON.parse(readFileSync(join(dataDir, 'daemon.json'), 'utf8'));
  return url;
}
