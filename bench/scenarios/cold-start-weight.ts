import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { PACKAGES } from '../contestants/contestant.ts';
import { firstAnswerMs } from '../contestants/first-answer.ts';
import { interpreterOf, plainBubblewrap, type PlainProgram } from '../contestants/sandboxed-program.ts';
import type { BenchContext } from '../context.ts';
import { coldStart, rest } from '../machine/cold-start.ts';
import { runProgram } from '../machine/program.ts';
import type { Thaw } from '../machine/thaw.ts';
import type { Measurement, Scenario, Verdict } from '../scenario.ts';
import { median } from '../statistics.ts';

type Files = Readonly<Record<string, string | Buffer>>;

/** An application with something to load: as a function, and as a program that answers one request and ends. */
interface Application {
  readonly name: string;
  readonly runtime: string;
  readonly handler: string;
  readonly once: string;
  /** A text: why it cannot be made here. */
  files(context: BenchContext): Promise<Files | string>;
}

const APPLICATIONS: readonly Application[] = [
  { name: 'Express', runtime: 'nodejs26', handler: 'index.app', once: 'once.js', files: express },
  {
    name: 'Flask',
    runtime: 'python3',
    handler: 'index.app',
    once: 'once.py',
    files: (context) => python(context, 'flask', FLASK),
  },
  {
    name: 'numpy',
    runtime: 'python3',
    handler: 'index.handler',
    once: 'once.py',
    files: (context) => python(context, 'numpy', NUMPY),
  },
  { name: '10 MB of Node', runtime: 'nodejs26', handler: 'index.handler', once: 'once.js', files: bundle },
];

export const scenario: Scenario = {
  name: 'cold-start-weight',
  title: 'Cold start with weight',
  shows:
    'The first answer of functions that load something: an Express app, a Flask app, a handler that imports numpy, and a ' +
    'Node app of 10 MB in one file. Each of 20 functions is called for the first time after what is prepared at a ' +
    'deployment is, once with the code loaded ahead (the default) and once with `--load-ahead off`; against a bare `bwrap` that starts the same interpreter, loads the same code and answers once.',
  charts: [
    'first answer, Express',
    'first answer, Flask',
    'first answer, numpy',
    'first answer, 10 MB of Node',
  ],

  async run(context) {
    const measurements: Measurement[] = [];
    const verdicts: Verdict[] = [];
    const notes: string[] = [];
    const bwrap = plainBubblewrap();
    if (typeof bwrap === 'string') return { measurements, verdicts, notes: [bwrap] };
    const thaw = await context.startThaw();
    const unloaded = await context.startThaw({ loadAhead: 0 });
    for (const application of context.quick ? APPLICATIONS.slice(0, 1) : APPLICATIONS) {
      const files = await application.files(context);
      if (typeof files === 'string') {
        notes.push(`${application.name} is left out: ${files}`);
        continue;
      }
      const what = `first answer, ${application.name}`;
      const ours = await measureThaw(context, thaw, application, files);
      const loading = await measureThaw(context, unloaded, application, files);
      const program = await programOf(context, application, files);
      const theirs: number[] = [];
      for (let n = 0; n < context.pick(20, 1); n += 1) theirs.push(await firstAnswerMs(bwrap, program));
      measurements.push(
        { subject: 'thaw', what, unit: 'ms', values: ours },
        { subject: 'thaw, not loaded ahead', what, unit: 'ms', values: loading },
        { subject: 'bwrap', what, unit: 'ms', values: theirs },
      );
      const value = median(ours) / median(theirs);
      const claim = `${application.name}, first answer against bare bwrap`;
      verdicts.push({ claim, sense: 'at most', bound: 0.5, value, unit: 'x' });
      context.say(`${application.name} done`);
    }
    return { measurements, verdicts, notes };
  },
};

async function measureThaw(
  context: BenchContext,
  thaw: Thaw,
  { name, runtime, handler }: Application,
  files: Files,
): Promise<number[]> {
  const values: number[] = [];
  const label = name.toLowerCase().replaceAll(/\W+/g, '-');
  for (let n = 0; n < context.pick(20, 1); n += 1) {
    // Functions with the same code share what is prepared of it; these do not.
    const own = { ...files, 'number.txt': String(n) };
    const url = await thaw.deploy(`weight-${label}-${n}`, {
      runtime,
      files: own,
      fields: { handler, memorySize: 512 },
    });
    // What is prepared takes as long as loading the code once.
    await rest(context);
    await rest(context);
    await rest(context);
    await rest(context);
    values.push((await coldStart(url)).ms);
  }
  return values;
}

async function programOf(
  context: BenchContext,
  { runtime, once }: Application,
  files: Files,
): Promise<PlainProgram> {
  const codeDirectory = await context.directory();
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(codeDirectory, path)), { recursive: true });
    await writeFile(join(codeDirectory, path), content);
  }
  return {
    interpreter: await interpreterOf(runtime),
    args: [`/code/${once}`],
    codeDirectory,
    socketDirectory: await context.directory(),
  };
}

async function express(): Promise<Files | string> {
  if (!existsSync(join(PACKAGES, 'express'))) return 'express is not installed in bench/peers';
  return {
    ...(await filesBelow(PACKAGES, await closure('express'))),
    'index.js': `exports.app = require('express')();\nexports.app.all('/{*rest}', (request, response) => response.send('hello'));\n`,
    'once.js': `
// What the run before has left: Express takes no notice of an address that is in use.
require('node:fs').rmSync('/run/bench/s', { force: true });
const server = require('./index.js').app.listen('/run/bench/s', () => {
  require('node:http').get({ socketPath: '/run/bench/s', path: '/' }, (response) => {
    response.on('data', (text) => process.stdout.write(text)).on('end', () => process.exit(0));
  });
});
`,
  };
}

/** The package and everything that it needs, as far as it lies beside it. */
async function closure(name: string, found = new Set<string>()): Promise<Set<string>> {
  if (found.has(name) || !existsSync(join(PACKAGES, name))) return found;
  found.add(name);
  const manifest: { readonly dependencies?: Readonly<Record<string, string>> } = JSON.parse(
    await readFile(join(PACKAGES, name, 'package.json'), 'utf8'),
  );
  for (const dependency of Object.keys(manifest.dependencies ?? {})) await closure(dependency, found);
  return found;
}

async function filesBelow(root: string, packages: ReadonlySet<string>): Promise<Record<string, Buffer>> {
  const files: Record<string, Buffer> = {};
  for (const name of packages) {
    for (const entry of await readdir(join(root, name), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !/\.([cm]?js|json)$/.test(entry.name)) continue;
      const path = join(entry.parentPath, entry.name);
      files[`node_modules/${path.slice(root.length + 1)}`] = await readFile(path);
    }
  }
  return files;
}

const FLASK = {
  index: `
from flask import Flask

app = Flask(__name__)


@app.route("/", methods=["GET", "POST"])
def hello():
    return "hello"
`,
  once: `
import sys

sys.path.insert(0, "/code")
from index import app

print(app.test_client().get("/").get_data(as_text=True))
`,
};

const NUMPY = {
  index: `
import numpy


def handler(event, context):
    return str(int(numpy.arange(10).sum()))
`,
  once: `
import sys

sys.path.insert(0, "/code")
import index

print(index.handler(b"{}", None))
`,
};

async function python(
  context: BenchContext,
  requirement: string,
  source: { readonly index: string; readonly once: string },
): Promise<Files | string> {
  const directory = await context.directory();
  const { path } = await interpreterOf('python3');
  const { code, stderr } = await runProgram(path, [
    ...['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-compile'],
    ...['--target', directory, requirement],
  ]);
  if (code !== 0) return `pip cannot install ${requirement}: ${stderr.trim().split('\n').at(-1) ?? ''}`;
  const files: Record<string, string | Buffer> = {};
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const file = join(entry.parentPath, entry.name);
    // Tests of a library are half of its size, and no deployment needs them.
    if (entry.isFile() && !/\/(tests|__pycache__|include)\//.test(file)) {
      files[file.slice(directory.length + 1)] = await readFile(file);
    }
  }
  return { ...files, 'index.py': source.index, 'once.py': source.once };
}

/** One file of 10 MB, as bundlers make them: most of it functions that are compiled when they are called, some called at once. */
function bundle(): Promise<Files> {
  const modules = Array.from({ length: 20_000 }, (_, n) => {
    const text = `value of module ${n} `.repeat(6);
    return `define(${n}, (exports) => {
  const table = { name: 'module-${n}', size: ${n}, text: ${JSON.stringify(text)} };
  class Part${n} { constructor(next) { this.next = next; } value(seed) { return this.next === undefined ? table.size + seed : this.next.value(seed + ${n}); } }
  function make(depth) { let part = new Part${n}(); for (let i = 0; i < depth % 3; i += 1) part = new Part${n}(part); return part; }
  exports.make = make; exports.table = table; exports.total = (seed) => make(seed).value(seed) + table.text.length;
});`;
  });
  const head = `'use strict';
const modules = [];
const define = (n, load) => { const exports = {}; load(exports); modules[n] = exports; };
`;
  const tail = `
exports.handler = async () => String(modules.filter((_, n) => n % 100 === 0).reduce((sum, each) => sum + each.total(3), 0));
`;
  return Promise.resolve({
    'index.js': head + modules.join('\n') + tail,
    'once.js': `require('./index.js').handler().then((text) => process.stdout.write(text));\n`,
  });
}
