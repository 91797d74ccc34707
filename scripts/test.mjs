/** `npm test`: installs what is missing and runs every test with the engine's own runner. Arguments choose files. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { installed, npmInstalls, ROOT } from './install.mjs';

const SUITES = [
  'packages/*/src/**/*.test.ts',
  'packages/*/test/**/*.test.ts',
  'runtimes/**/*.test.{ts,cjs}',
  'bench/*/*.test.ts',
  'e2e/**/*.test.ts',
];
/** A test that hangs is a failure, not a wait. */
const TEST_MS_MAX = 5 * 60_000;
/** Most of them wait for processes more than they compute, but some start many at once. */
const FILES_AT_ONCE = 2;

const engine = installed({ withTests: true });
const chosen = process.argv.slice(2);
const options = [
  `--test-timeout=${TEST_MS_MAX}`,
  `--test-concurrency=${FILES_AT_ONCE}`,
  '--test-reporter=spec',
];
const runner = spawn(engine, ['--test', ...options, ...(chosen.length > 0 ? chosen : SUITES)], {
  cwd: ROOT,
  stdio: 'inherit',
  env: { ...process.env, THAW_TEST_NODES: otherEngines().join(':') },
});
runner.on('exit', (code) => process.exit(code ?? 1));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => runner.kill(signal));

/** Older Nodes that the Node shim is tested on. Without a package index there are none, and their cases say so. */
function otherEngines() {
  const directory = join(ROOT, 'runtimes/conformance/engines');
  if (!existsSync(join(directory, 'node_modules'))) npmInstalls(directory);
  const packages = join(directory, 'node_modules');
  if (!existsSync(packages)) return [];
  return readdirSync(packages)
    .map((name) => join(packages, name, 'bin/node'))
    .filter((path) => existsSync(path));
}
