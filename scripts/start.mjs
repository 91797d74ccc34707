/**
 * `npm start`: installs what is missing, starts the platform, deploys the examples, calls each once and stays up.
 * Options after `--` go to `thaw serve` (`npm start -- --port 0`).
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { forwardSignals } from '../bin/forward-signals.mjs';
import { installed, ROOT } from './install.mjs';

const READY_MS_MAX = 60_000;
const POLL_MS = 20;

const EVENT_CALLS = [
  { example: 'hello', name: 'hello-nodejs', input: ['-d', '{"name":"Node"}'] },
  { example: 'hello', name: 'hello-python', input: ['-d', '{"name":"Python"}'] },
  {
    example: 'thumbnail',
    name: 'thumbnail',
    input: ['-f', 'examples/thumbnail/picture.jpg'],
    isBinary: true,
  },
  { example: 'hot-go', name: 'hot-go', input: ['-d', 'Go'] },
  { example: 'hot-shell', name: 'hot-shell', input: ['-d', 'shell'] },
  { example: 'lambda-bootstrap', name: 'lambda-bootstrap', input: ['-d', '{"name":"curl"}'] },
  { example: 'slow-start', name: 'slow-start', input: ['-d', ''] },
];
const WEB_CALLS = ['express-app', 'flask-app', 'custom-go', 'custom-nodejs', 'custom-python'];

const engine = installed();
const thaw = join(ROOT, 'bin', 'thaw.mjs');
const options = process.argv.slice(2).filter((option) => option !== '--');
const dataDir = resolve(optionValue('--data-dir') ?? join(homedir(), '.thaw'));
const examples = join(ROOT, 'examples');

let isStopping = false;
const server = spawn(engine, [thaw, 'serve', ...options], {
  stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  env: { ...process.env, THAW_WRAPPER: '1' },
});
server.on('exit', (code) => process.exit(code ?? 1));
forwardSignals(server, () => {
  isStopping = true;
});

const url = await started();
const stamp = join(dataDir, 'examples.sha256');
const lacking = lackingExamples();
const wanted = `${digestOf(examples)} without ${[...lacking.keys()].join(',')}`;
if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) {
  process.stdout.write('The examples are deployed already.\n');
} else {
  const failed = await deployAll();
  await callAll(new Set([...failed, ...lacking.keys()]));
  if (failed.size === 0 && !isStopping) writeFileSync(stamp, wanted);
}
if (!isStopping) tellHow();

/** The daemon writes where it is when it serves; an older file names another process. */
async function started() {
  const file = join(dataDir, 'daemon.json');
  const until = Date.now() + READY_MS_MAX;
  for (;;) {
    try {
      const told = JSON.parse(readFileSync(file, 'utf8'));
      if (told.pid === server.pid) return told.url;
    } catch {
      // Not written yet.
    }
    if (Date.now() > until) {
      process.stderr.write(`the platform did not start within ${READY_MS_MAX / 1000} seconds\n`);
      server.kill();
      process.exit(1);
    }
    await new Promise((done) => {
      setTimeout(done, POLL_MS);
    });
  }
}

function exampleNames() {
  return readdirSync(examples)
    .filter((name) => existsSync(join(examples, name, 's.yaml')))
    .toSorted();
}

/** Examples that are made with a program which this machine lacks; the first line of their `s.yaml` names it. */
function lackingExamples() {
  const found = new Map();
  for (const name of exampleNames()) {
    const program = /^# needs: (\S+)/.exec(readFileSync(join(examples, name, 's.yaml'), 'utf8'))?.[1];
    if (program !== undefined && !hasProgram(program)) found.set(name, program);
  }
  return found;
}

function hasProgram(name) {
  const [file, ...args] = { pip: ['python3', '-m', 'pip', '--version'], go: ['go', 'version'] }[name] ?? [
    name,
    '--version',
  ];
  return spawnSync(file, args, { stdio: 'ignore' }).status === 0;
}

/** Gives the examples that could not be deployed; why is on the terminal. */
async function deployAll() {
  const failed = new Set();
  for (const [name, program] of lacking) {
    process.stdout.write(`\nLeaving out examples/${name}: ${program} is not on this machine\n`);
  }
  for (const name of exampleNames()) {
    if (lacking.has(name) || isStopping) continue;
    process.stdout.write(`\nDeploying examples/${name}\n`);
    if ((await run(['deploy', '-t', join(examples, name, 's.yaml')], 'inherit')) !== 0) failed.add(name);
  }
  return failed;
}

async function callAll(failed) {
  const scratch = mkdtempSync(join(tmpdir(), 'thaw-start-'));
  process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
  for (const { example, name, input, isBinary } of EVENT_CALLS) {
    if (failed.has(example) || isStopping) continue;
    process.stdout.write(`\n$ thaw invoke ${name} ${input.map(quoted).join(' ')} --timeline\n`);
    const answer = join(scratch, name);
    const code = await run(['invoke', name, ...input, '--timeline', '-o', answer], 'ignore');
    if (code !== 0 || !existsSync(answer)) continue;
    const bytes = readFileSync(answer);
    process.stdout.write(isBinary ? `${bytes.length} bytes\n` : `${bytes.toString('utf8').trimEnd()}\n`);
  }
  for (const name of WEB_CALLS) {
    if (failed.has(name) || isStopping) continue;
    const page = `${url}/http/${name}/web/`;
    process.stdout.write(`\n$ curl ${page}\n`);
    try {
      const { text, timing } = await get(page);
      process.stdout.write(`${text.trimEnd()}\n`);
      process.stderr.write(`timeline: ${timing}\n`);
    } catch (error) {
      process.stderr.write(`${page} did not answer: ${error.message}\n`);
    }
  }
}

function tellHow() {
  const { port } = new URL(url);
  const more = dataDir === join(homedir(), '.thaw') ? '' : ` --data-dir ${quoted(dataDir)}`;
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

/** Gives the exit code. Not synchronous: a signal, or the server's end, must be heard meanwhile. */
function run(args, stdout) {
  const child = spawn(engine, [thaw, ...args, '--data-dir', dataDir], {
    cwd: ROOT,
    stdio: ['ignore', stdout, 'inherit'],
  });
  return new Promise((done) => {
    child.on('error', () => done(1));
    child.on('close', done);
  });
}

/** A page, and the timeline in its `Server-Timing`, which comes last when the page is streamed. */
function get(page) {
  return new Promise((done, fail) => {
    const sent = request(page, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('error', fail);
      response.on('end', () => {
        const { headers, trailers } = response;
        done({ text, timing: [headers, trailers].flatMap((each) => each['server-timing'] ?? []).join(', ') });
      });
    });
    sent.on('error', fail);
    sent.end();
  });
}

/** Changes when a file of the examples does; what was installed into them does not count. */
function digestOf(directory) {
  const hash = createHash('sha256');
  const files = readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(yaml|js|json|py|go|mod|txt|html|css|jpg)$/.test(entry.name))
    // Node 20 before 20.12 calls it `path`.
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .filter((path) => !/node_modules|site-packages/.test(path));
  // pip installs beside the Flask app's own files.
  const flask = join(directory, 'flask-app', 'code');
  const own = ['app.py', 'requirements.txt', join('templates', 'index.html')].map((name) =>
    join(flask, name),
  );
  for (const path of files.toSorted()) {
    if (path.startsWith(flask) && !own.includes(path)) continue;
    hash.update(path.slice(directory.length)).update(readFileSync(path));
  }
  return hash.digest('hex');
}

function optionValue(name) {
  const at = options.findIndex((option) => option === name || option.startsWith(`${name}=`));
  if (at === -1) return undefined;
  const [, inline] = (options[at] ?? '').split(/=(.*)/s);
  return inline ?? options[at + 1];
}

/** As a shell wants it. */
function quoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
