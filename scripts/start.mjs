/**
 * `npm start`: installs what is missing, starts the platform, deploys the examples, calls each once and stays up.
 * Options after `--` go to `thaw serve` (`npm start -- --port 0`).
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { installed, ROOT } from './install.mjs';

const READY_MS_MAX = 60_000;
const POLL_MS = 20;

const engine = installed();
const thaw = join(ROOT, 'bin', 'thaw.mjs');
const options = process.argv.slice(2);
const dataDir = optionValue('--data-dir') ?? join(homedir(), '.thaw');
const examples = join(ROOT, 'examples');

const server = spawn(engine, [thaw, 'serve', ...options], {
  stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  env: { ...process.env, THAW_WRAPPER: '1' },
});
server.on('exit', (code) => process.exit(code ?? 1));
// A terminal signals the whole group; one more from here would be a second Ctrl-C to the server.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => server.kill('SIGTERM'));

await started();
const stamp = join(dataDir, 'examples.sha256');
const wanted = digestOf(examples);
if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== wanted) {
  if (deployAll()) writeFileSync(stamp, wanted);
  callAll();
} else {
  process.stdout.write('The examples are deployed already.\n');
}
tellHow();

/** The daemon writes where it is when it serves; an older file names another process. */
async function started() {
  const file = join(dataDir, 'daemon.json');
  const until = Date.now() + READY_MS_MAX;
  for (;;) {
    try {
      if (JSON.parse(readFileSync(file, 'utf8')).pid === server.pid) return;
    } catch {
      // Not written yet.
    }
    if (Date.now() > until) {
      process.stderr.write(`the platform did not start within ${READY_MS_MAX / 1000} seconds\n`);
      server.kill();
      process.exit(1);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function deployAll() {
  let allDeployed = true;
  for (const name of readdirSync(examples).toSorted()) {
    const file = join(examples, name, 's.yaml');
    if (!existsSync(file)) continue;
    process.stdout.write(`\nDeploying examples/${name}\n`);
    const { status } = run(['deploy', '-t', file], { stdio: 'inherit' });
    if (status !== 0) allDeployed = false;
  }
  return allDeployed;
}

function callAll() {
  const scratch = mkdtempSync(join(tmpdir(), 'thaw-start-'));
  for (const { name, input, isBinary } of calls()) {
    process.stdout.write(`\n$ thaw invoke ${name} ${input.join(' ')}\n`);
    const answer = join(scratch, name);
    const { status } = run(['invoke', name, ...input, '--timeline', '-o', answer], {
      stdio: ['ignore', 'inherit', 'inherit'],
      cwd: ROOT,
    });
    if (status !== 0 || !existsSync(answer)) continue;
    const bytes = readFileSync(answer);
    process.stdout.write(isBinary ? `${bytes.length} bytes\n` : `${bytes.toString('utf8').trimEnd()}\n`);
  }
  rmSync(scratch, { recursive: true });
}

function calls() {
  return [
    { name: 'hello-nodejs', input: ['-d', '{"name":"Node"}'] },
    { name: 'hello-python', input: ['-d', '{"name":"Python"}'] },
    { name: 'thumbnail', input: ['-f', 'examples/thumbnail/picture.jpg'], isBinary: true },
    { name: 'express-app', input: ['-d', ''] },
    { name: 'flask-app', input: ['-d', ''] },
    { name: 'slow-start', input: ['-d', ''] },
  ];
}

function tellHow() {
  const { url } = JSON.parse(readFileSync(join(dataDir, 'daemon.json'), 'utf8'));
  const port = new URL(url).port;
  const more = dataDir === join(homedir(), '.thaw') ? '' : ` --data-dir '${dataDir}'`;
  process.stdout.write(`
Thaw is up on ${url}. In another terminal:

  node bin/thaw.mjs invoke hello-nodejs -d '{"name":"you"}' --timeline${more}
  curl http://express-app.localhost:${port}/
  curl http://flask-app.localhost:${port}/
  curl --data-binary @examples/thumbnail/picture.jpg http://thumbnail.localhost:${port}/ -o small.jpg
  node bin/thaw.mjs logs -f hello-nodejs${more}

Ctrl-C stops it; what is deployed stays deployed.
`);
}

function run(args, spawnOptions) {
  return spawnSync(engine, [thaw, ...args, '--data-dir', dataDir], spawnOptions);
}

/** Changes when a file of the examples does; what was installed into them does not count. */
function digestOf(directory) {
  const hash = createHash('sha256');
  const files = readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(yaml|js|json|py|txt|html|css|jpg)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !path.includes('node_modules') && !path.includes('site-packages'));
  for (const path of files.toSorted()) {
    const tracked =
      path.includes(join('flask-app', 'code')) && !/(app\.py|requirements\.txt|index\.html)$/.test(path);
    if (!tracked) hash.update(path.slice(directory.length)).update(readFileSync(path));
  }
  return hash.digest('hex');
}

function optionValue(name) {
  const at = options.findIndex((option) => option === name || option.startsWith(`${name}=`));
  if (at === -1) return undefined;
  const [, inline] = (options[at] ?? '').split(/=(.*)/s);
  return inline ?? options[at + 1];
}
