/**
 * Installs what is missing, once: plain JavaScript for any Node from 20 on, because it runs before anything is installed.
 * What was installed is remembered by the hash of the lock file, so the second call costs a few milliseconds.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { engineMissingMessage, findEngine } from '../bin/engine.mjs';

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * Gives the path of the Node that everything else runs on. `npm start` needs less than `npm test`: what only tests use is
 * left out until they are run.
 */
export function installed({ withTests = false } = {}) {
  const lock = createHash('sha256')
    .update(readFileSync(join(ROOT, 'package-lock.json')))
    .digest('hex');
  const found = existsSync(STAMP) ? readFileSync(STAMP, 'utf8') : '';
  const isEnough = found === `${lock} with tests` || (!withTests && found === lock);
  if (!isEnough) {
    process.stdout.write(`Installing what Thaw${withTests ? "'s tests need" : ' needs'} (once) …\n`);
    if (!npmInstalls(ROOT, withTests ? [] : ['--omit=dev'])) fail('npm ci failed; its output above says why');
    writeFileSync(STAMP, withTests ? `${lock} with tests` : lock);
  }
  const engine = findEngine();
  if (engine === undefined) fail(engineMissingMessage());
  return engine;
}

const STAMP = join(ROOT, 'node_modules', '.thaw-installed');

/** Whether `npm ci` in this directory went well. */
export function npmInstalls(directory, options = []) {
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error', ...options];
  return spawnSync('npm', args, { cwd: directory, stdio: 'inherit' }).status === 0;
}

export function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
