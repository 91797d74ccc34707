import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { readdirSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

/** The versions that the shim promises; what user code may rely on starts with the oldest. */
const MINOR_VERSIONS = [9, 10, 11, 12, 13];
const PROBE_TIMEOUT_MS = 10_000;
const SUITE_TIMEOUT_MS = 180_000;

const run = promisify(execFile);
const interpreters = findPythons();

for (const minor of MINOR_VERSIONS) {
  const python = interpreters.get(minor);
  test(
    `the Python shim passes its own suite on 3.${minor}`,
    { skip: python === undefined && 'this machine lacks it', timeout: SUITE_TIMEOUT_MS },
    async () => {
      assert(python !== undefined);
      const suite = ['-B', '-m', 'unittest', 'discover', '-t', '.', '-s', 'tests'];
      await assert.doesNotReject(run(python, suite, { cwd: import.meta.dirname }));
    },
  );
}

/** Minor version to executable, on PATH and where pyenv keeps them; a name that does not run is none. */
function findPythons(): Map<number, string> {
  const managed = join(process.env['PYENV_ROOT'] ?? join(homedir(), '.pyenv'), 'versions');
  const candidates = [
    ...MINOR_VERSIONS.map((minor) => `python3.${minor}`),
    'python3',
    ...listDirectory(managed).map((version) => join(managed, version, 'bin', 'python3')),
  ];
  const found = new Map<number, string>();
  for (const candidate of candidates) {
    try {
      const script = 'import sys;print(sys.version_info[1], sys.executable)';
      const stdio: ['ignore', 'pipe', 'ignore'] = ['ignore', 'pipe', 'ignore'];
      const options = { encoding: 'utf8', stdio, timeout: PROBE_TIMEOUT_MS } as const;
      const [minor = '', path = ''] = execFileSync(candidate, ['-I', '-c', script], options).split(/\s+/);
      if (!found.has(Number(minor))) found.set(Number(minor), realpathSync(path));
    } catch {
      continue;
    }
  }
  return found;
}

function listDirectory(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
