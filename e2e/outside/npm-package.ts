import { execFile } from 'node:child_process';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { temporaryDirectory } from '@thaw/testkit/platform.ts';

const run = promisify(execFile);
/** Other builds of the same packages, for bundlers and browsers. */
const OTHER_BUILDS = new Set(['esm', 'esnext', '@types', 'undici-types', '.bin']);

/** These packages and what they depend on, installed by npm: the files that Node needs of them, by path. */
export async function installedPackages(
  t: TestContext,
  packages: Readonly<Record<string, string>>,
): Promise<Record<string, Buffer>> {
  const directory = await temporaryDirectory(t, 'thaw packages ');
  await writeFile(join(directory, 'package.json'), JSON.stringify({ private: true, dependencies: packages }));
  await run('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'], {
    cwd: directory,
  });
  const files: Record<string, Buffer> = {};
  for (const path of await filesIn(join(directory, 'node_modules'))) {
    files[relative(directory, path)] = await readFile(path);
  }
  return files;
}

async function filesIn(directory: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) {
      if (!OTHER_BUILDS.has(entry.name)) found.push(...(await filesIn(path)));
    } else if (/\.([cm]?js|json)$/u.test(entry.name)) {
      found.push(path);
    }
  }
  return found;
}
