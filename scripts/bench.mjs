/** `npm run bench`: installs what is missing, the peers too, and runs bench/run.ts on the engine. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { installed, npmInstalls, ROOT } from './install.mjs';

const engine = installed({ withTests: true });
const options = process.argv.slice(2);
const peers = join(ROOT, 'bench/peers');
// A quick run takes the peers that are there; without a package index there are none, and the scenarios say so.
if (!options.includes('--quick') && !existsSync(join(peers, 'node_modules'))) npmInstalls(peers);
const runner = spawn(engine, [join(ROOT, 'bench/run.ts'), ...options], { cwd: ROOT, stdio: 'inherit' });
runner.on('exit', (code) => process.exit(code ?? 1));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => runner.kill(signal));
