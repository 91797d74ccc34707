import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { PlatformLog } from '../base/platform-log.ts';
import type { Interpreter } from './interpreters.ts';

/** The shims as this installation has them. */
const SOURCE = join(dirname(import.meta.dirname), '../../../runtimes');
const LANGUAGES = ['nodejs', 'python'] as const;
const COMPILE_MS_MAX = 60_000;
const run = promisify(execFile);

/**
 * Puts the shims under the data directory, Python's compiled for every interpreter of the machine: sandboxes see them
 * read-only, so without that each cold start would compile them again (about 11 ms). The directory is named after what is
 * in it; an installed one is used as it is, those of other versions are removed.
 */
export async function installShims(
  dataDirectory: string,
  interpreters: readonly Interpreter[],
  log: PlatformLog,
): Promise<string> {
  const pythons = interpreters.filter(({ family }) => family === 'python3');
  const root = join(dataDirectory, 'runtimes');
  try {
    const name = await digestOf(pythons);
    const installed = join(root, name);
    for (const other of await readdir(root).catch(() => [])) {
      if (other !== name) await rm(join(root, other), { recursive: true });
    }
    if (await exists(installed)) return installed;
    const beside = `${installed}.new`;
    await mkdir(beside, { recursive: true });
    for (const language of LANGUAGES) {
      await cp(join(SOURCE, language), join(beside, language), { recursive: true, filter: isNeeded });
    }
    await Promise.all(pythons.map((python) => compile(python, join(beside, 'python'), log)));
    await rename(beside, installed);
    return installed;
  } catch (cause) {
    throw new ThawError('STORE_FAILED', `the runtimes could not be installed under ${root}`, { cause });
  }
}

/** Tests and caches stay behind. */
function isNeeded(path: string): boolean {
  return !/(\.test\.\w+|\/tests|__pycache__)$/.test(path);
}

async function compile(python: Interpreter, directory: string, log: PlatformLog): Promise<void> {
  // Checked against nothing later: what is compiled lies beside its source and never changes.
  const args = ['-m', 'compileall', '-q', '--invalidation-mode', 'unchecked-hash', directory];
  try {
    await run(python.path, args, { timeout: COMPILE_MS_MAX });
  } catch (error) {
    log(
      'warning',
      `Python ${python.fullVersion} could not compile its runtime; cold starts of it are slower`,
      error,
    );
  }
}

async function digestOf(pythons: readonly Interpreter[]): Promise<string> {
  const hash = createHash('sha256');
  for (const language of LANGUAGES) {
    const directory = join(SOURCE, language);
    const entries = await readdir(directory, { recursive: true, withFileTypes: true });
    const paths = entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    for (const path of paths.filter((one) => isNeeded(one) && !one.includes('__pycache__')).toSorted()) {
      hash.update(path.slice(SOURCE.length)).update(await readFile(path));
    }
  }
  for (const { path, fullVersion } of pythons) hash.update(`${path} ${fullVersion}\n`);
  return hash.digest('hex').slice(0, 16);
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}
