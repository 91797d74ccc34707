import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { PlatformLog } from '../base/platform-log.ts';
import type { Interpreter } from './interpreters.ts';
import { JavaArchives, type JavaArchivesOptions } from './java-archives.ts';
import { JAVA_BUILD } from './java-build.ts';
import { CODE_REFERENCE } from './java-options.ts';
import { oneFile } from './one-file.ts';
import { SHIM_LANGUAGES } from './shim-languages.ts';

/** The shims as this installation has them. */
const SOURCE = join(dirname(import.meta.dirname), '../../../runtimes');
const DIRECTORIES = Object.values(SHIM_LANGUAGES).map(({ directory }) => directory);
const COMPILE_MS_MAX = 120_000;
const NODE_SHIM = 'shim.cjs';
const run = promisify(execFile);

/**
 * The shims, copied under the data directory, where what is compiled from them has a place: sandboxes see them
 * read-only. The directory is named after what is in it; those of other versions are removed.
 *
 * Node's is made one file. Compiling waits for the first function of a language, so that nobody pays for what is not used. Python runs uncompiled
 * meanwhile (each cold start costs about 11 ms more); Java cannot, so its first start waits.
 */
export class Shims {
  readonly directory: string;
  readonly #interpreters: readonly Interpreter[];
  readonly #log: PlatformLog;
  readonly #pythons = new Set<string>();
  readonly #javaArchives: JavaArchives;
  #java: Promise<void> | undefined;

  private constructor(
    directory: string,
    interpreters: readonly Interpreter[],
    log: PlatformLog,
    archives: JavaArchivesOptions,
  ) {
    this.directory = directory;
    this.#interpreters = interpreters;
    this.#log = log;
    this.#javaArchives = new JavaArchives(archives, directory);
  }

  static async install(
    dataDirectory: string,
    interpreters: readonly Interpreter[],
    archives: JavaArchivesOptions,
  ): Promise<Shims> {
    const { log } = archives;
    const root = join(dataDirectory, 'runtimes');
    try {
      const name = await digestOfSources();
      const installed = join(root, name);
      for (const other of await readdir(root).catch(() => [])) {
        if (other !== name) await rm(join(root, other), { recursive: true });
      }
      if (!(await exists(installed))) await copyTo(installed);
      await writeNodeShim(join(installed, SHIM_LANGUAGES.nodejs.directory), archives);
      return new Shims(installed, interpreters, log, archives);
    } catch (cause) {
      throw new ThawError('STORE_FAILED', `the runtimes could not be installed under ${root}`, { cause });
    }
  }

  /** Settles when the shim can be started for this runtime. Throws RUNTIME_UNAVAILABLE. */
  async prepare(interpreter: Interpreter, runtime: string): Promise<void> {
    if (interpreter.family === 'python3') this.#compilePython(interpreter);
    if (interpreter.family === 'java') {
      this.#java ??= this.#compileJava();
      await this.#java;
      await this.#javaArchives.open(interpreter, runtime);
    }
  }

  /** For a start that nobody waits for: settles when the shim starts as soon as it ever will. */
  async prepareFully(interpreter: Interpreter, runtime: string): Promise<void> {
    await this.prepare(interpreter, runtime);
    if (interpreter.family === 'java') await this.#javaArchives.ready(interpreter, runtime);
  }

  async close(): Promise<void> {
    await this.#javaArchives.close();
  }

  #compilePython(python: Interpreter): void {
    if (this.#pythons.has(python.path)) return;
    this.#pythons.add(python.path);
    // Checked against nothing later: what is compiled lies beside its source and never changes.
    const args = ['-m', 'compileall', '-q', '--invalidation-mode', 'unchecked-hash'];
    run(python.path, [...args, join(this.directory, 'python')], { timeout: COMPILE_MS_MAX }).catch(
      (error: unknown) => {
        const what = `Python ${python.fullVersion} could not compile its runtime; its cold starts are slower`;
        this.#log('warning', what, error);
      },
    );
  }

  async #compileJava(): Promise<void> {
    const jdk = this.#interpreters.find(
      ({ family, root }) => family === 'java' && existsSync(join(root, 'bin', 'javac')),
    );
    if (jdk === undefined) {
      throw new ThawError(
        'RUNTIME_UNAVAILABLE',
        'Java functions need a JDK with javac, which this machine lacks',
      );
    }
    const directory = join(this.directory, 'java');
    const jar = join(directory, 'shim.jar');
    if (await exists(jar)) return;
    try {
      const classes = join(directory, 'classes');
      const sources = join(directory, JAVA_BUILD.sources);
      const names = await readdir(sources, { recursive: true });
      const files = names.filter((name) => name.endsWith('.java')).map((name) => join(sources, name));
      const options = [...JAVA_BUILD.compile, '-sourcepath', join(directory, JAVA_BUILD.names)];
      const bin = join(jdk.root, 'bin');
      await run(join(bin, 'javac'), [...options, '-d', classes, ...files], { timeout: COMPILE_MS_MAX });
      const manifest = join(directory, 'code.manifest');
      await writeFile(manifest, 'Manifest-Version: 1.0\nClass-Path: file:/code/\n');
      const reference = ['--create', '--file', join(directory, CODE_REFERENCE), '--manifest', manifest];
      await run(join(bin, 'jar'), reference, { timeout: COMPILE_MS_MAX });
      const beside = `${jar}.new`;
      await run(join(bin, 'jar'), ['--create', '--file', beside, '-C', classes, '.'], {
        timeout: COMPILE_MS_MAX,
      });
      await rename(beside, jar);
    } catch (cause) {
      // The next start tries again.
      this.#java = undefined;
      throw new ThawError('RUNTIME_UNAVAILABLE', `Java ${jdk.fullVersion} could not compile its runtime`, {
        cause,
      });
    }
  }
}

/**
 * The shim of Node as one file where code is prepared, and as it is otherwise. Made at each start of the platform, so that
 * no damaged one outlives it.
 */
async function writeNodeShim(directory: string, { isEnabled, log }: JavaArchivesOptions): Promise<void> {
  const source = join(SOURCE, SHIM_LANGUAGES.nodejs.directory);
  let text = await readFile(join(source, NODE_SHIM), 'utf8');
  if (isEnabled) {
    try {
      text = oneFile(NODE_SHIM, await modulesOf(source));
    } catch (error) {
      log('warning', 'the runtime of Node is not made one file; its cold starts are slower', error);
    }
  }
  const beside = join(directory, `${NODE_SHIM}.new`);
  await writeFile(beside, text);
  await rename(beside, join(directory, NODE_SHIM));
}

async function modulesOf(directory: string): Promise<Map<string, string>> {
  const sources = new Map<string, string>();
  for (const name of await readdir(directory))
    if (name.endsWith('.cjs')) sources.set(name, await readFile(join(directory, name), 'utf8'));
  return sources;
}

async function copyTo(installed: string): Promise<void> {
  const beside = `${installed}.new`;
  await mkdir(beside, { recursive: true });
  for (const directory of DIRECTORIES) {
    await cp(join(SOURCE, directory), join(beside, directory), { recursive: true, filter: isNeeded });
  }
  await rename(beside, installed);
}

/** Tests, caches and notes stay behind. */
function isNeeded(path: string): boolean {
  return !/(\.ts|\.md|\.test\.cjs|\/tests|__pycache__)$/.test(path);
}

async function digestOfSources(): Promise<string> {
  const hash = createHash('sha256');
  for (const language of DIRECTORIES) {
    const entries = await readdir(join(SOURCE, language), { recursive: true, withFileTypes: true });
    const paths = entries
      .filter((entry) => entry.isFile() && isNeeded(entry.parentPath))
      .map((entry) => join(entry.parentPath, entry.name));
    for (const path of paths.filter(isNeeded).toSorted()) {
      hash.update(path.slice(SOURCE.length)).update(await readFile(path));
    }
  }
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
