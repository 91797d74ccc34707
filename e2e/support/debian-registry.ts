import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { afterTest } from '@thaw/testkit/after-test.ts';
import { temporaryDirectory } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';

const REGISTRY_MS_MAX = 60_000;

/** Debian's registry on a port of its own; gives `127.0.0.1:<port>`. */
export async function startDebianRegistry(t: TestContext): Promise<string> {
  const directory = await temporaryDirectory(t, 'thaw-registry-');
  const config = join(directory, 'config.yml');
  const lines = [
    'version: 0.1',
    'storage:',
    '  filesystem:',
    `    rootdirectory: ${directory}/data`,
    'http:',
    '  addr: 127.0.0.1:0',
  ];
  await writeFile(config, `${lines.join('\n')}\n`);
  const child = spawn('docker-registry', ['serve', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
  });
  afterTest(t, async () => {
    child.kill('SIGKILL');
    await ended;
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const port = await waitFor(
    'the registry to listen',
    () => /listening on 127\.0\.0\.1:(\d+)/u.exec(said)?.[1],
    REGISTRY_MS_MAX,
  );
  return `127.0.0.1:${port}`;
}
