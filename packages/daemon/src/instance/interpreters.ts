import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { z } from 'zod';
import type { ShimFamily } from '../model/runnable.ts';
import { SHIM_LANGUAGES, shimFamilyOf } from './shim-languages.ts';

/** One language interpreter of the machine. */
export interface Interpreter {
  readonly family: ShimFamily;
  /** `[major, minor]`. */
  readonly version: readonly [number, number];
  readonly fullVersion: string;
  /** The real executable, links resolved. */
  readonly path: string;
  /** The directory that it needs to run, or the executable itself when that is all. */
  readonly root: string;
  /** Of a JDK: what changes with every build of its virtual machine. */
  readonly build?: string;
}

/** Where Linux distributions put their JDKs. */
const JVM_DIRECTORY = '/usr/lib/jvm';
const PROBE_TIMEOUT_MS = 30_000;
const run = promisify(execFile);
/** Full version, executable, and what it needs beside it. */
const probeSchema = z.tuple([z.string(), z.string(), z.string()]);

/**
 * Every Node (18 and up), Python (3.9 and up) and Java (17 and up) that can be found: our own engine, `PATH`, and the
 * places where distributions and the usual version managers keep theirs.
 */
export async function findInterpreters(searchPath: string): Promise<readonly Interpreter[]> {
  const directories = searchPath.split(':').filter((directory) => directory.startsWith('/'));
  const names = directories.flatMap((directory) =>
    listDirectory(directory)
      .filter((name) => /^(node|python3(\.\d+)?|java)$/.test(name))
      .map((name) => join(directory, name)),
  );
  const home = homedir();
  const managed = [
    ...listDirectory(join(home, '.nvm/versions/node')).map((v) =>
      join(home, '.nvm/versions/node', v, 'bin/node'),
    ),
    ...listDirectory(join(home, '.pyenv/versions')).map((v) =>
      join(home, '.pyenv/versions', v, 'bin/python3'),
    ),
  ];
  const javas = listDirectory(JVM_DIRECTORY).map((name) => join(JVM_DIRECTORY, name, 'bin/java'));
  const candidates = new Set([process.execPath, ...names, ...managed, ...javas]);
  const probed = await Promise.all([...candidates].map(probe));
  const byPath = new Map<string, Interpreter>();
  for (const found of probed)
    if (found !== undefined && !byPath.has(found.path)) byPath.set(found.path, found);
  return [...byPath.values()];
}

/** Asks the program itself: its name, or a version manager's stand-in, says too little. */
async function probe(path: string): Promise<Interpreter | undefined> {
  if (path.endsWith('/java')) return probeJava(path);
  const family: ShimFamily = path.endsWith('/node') ? 'nodejs' : 'python3';
  const script =
    family === 'nodejs'
      ? ['-p', 'JSON.stringify([process.versions.node, process.execPath, process.execPath])']
      : [
          '-I',
          '-c',
          'import json,sys;print(json.dumps([sys.version.split()[0],sys.executable,sys.base_prefix]))',
        ];
  try {
    const { stdout } = await run(path, script, { timeout: PROBE_TIMEOUT_MS });
    const [fullVersion, executable, root] = probeSchema.parse(JSON.parse(stdout));
    const [major = 0, minor = 0] = fullVersion.split('.').map((part) => Number.parseInt(part, 10));
    const isOldEnough = family === 'nodejs' ? major >= 18 : major === 3 && minor >= 9;
    if (!isOldEnough) return undefined;
    return {
      family,
      version: [major, minor],
      fullVersion,
      path: realpathSync(executable),
      root: realpathSync(root),
    };
  } catch {
    // A name on PATH that does not run is not an interpreter; version managers leave many of these.
    return undefined;
  }
}

/** A JDK says what it is in a file; asking the program would start a virtual machine. */
function probeJava(path: string): Interpreter | undefined {
  try {
    const executable = realpathSync(path);
    const root = dirname(dirname(executable));
    const fullVersion =
      /^JAVA_VERSION="([^"]+)"/m.exec(readFileSync(join(root, 'release'), 'utf8'))?.[1] ?? '';
    const [major = 0, minor = 0] = fullVersion.split('.').map((part) => Number.parseInt(part, 10));
    if (!(major >= 17)) return undefined;
    const library = join(root, 'lib/server/libjvm.so');
    const { size, mtimeMs } = statSync(existsSync(library) ? library : executable);
    const build = createHash('sha256').update(`${executable} ${size} ${mtimeMs}`).digest('hex').slice(0, 8);
    return { family: 'java', version: [major, minor], fullVersion, path: executable, root, build };
  } catch {
    return undefined;
  }
}

/**
 * The interpreter that a function's runtime runs on: the version it names; where the machine lacks it, the next newer
 * one, then the newest. What was chosen is told wherever runtimes are shown, and in the function's log.
 */
export function requireInterpreter(interpreters: readonly Interpreter[], runtime: string): Interpreter {
  const family = shimFamilyOf(runtime);
  const language = SHIM_LANGUAGES[family];
  const wanted = language.releaseNamed(runtime);
  const ofFamily = interpreters.filter((interpreter) => interpreter.family === family);
  const newestFirst = ofFamily.toSorted((a, b) => language.release(b) - language.release(a));
  const chosen =
    // `python3` names no release: the first one on PATH is the machine's own choice.
    (wanted === 0 ? ofFamily[0] : undefined) ??
    newestFirst.find((interpreter) => language.release(interpreter) === wanted) ??
    newestFirst.findLast((interpreter) => language.release(interpreter) > wanted) ??
    newestFirst[0];
  if (chosen === undefined) {
    throw new ThawError(
      'RUNTIME_UNAVAILABLE',
      `runtime ${runtime} needs ${language.program}, which this machine lacks`,
      { details: { runtime } },
    );
  }
  return chosen;
}

/** Whether the interpreter is the very release that the runtime names, or the runtime names none. */
export function isExactMatch(interpreter: Interpreter, runtime: string): boolean {
  const language = SHIM_LANGUAGES[interpreter.family];
  const wanted = language.releaseNamed(runtime);
  return wanted === 0 || wanted === language.release(interpreter);
}

/** Node is one file; the others need their libraries beside them. */
export function interpreterMount(
  interpreter: Interpreter,
): { source: string; target: string; command: string } | undefined {
  if (interpreter.path.startsWith('/usr/')) return undefined;
  if (interpreter.family === 'nodejs') {
    return { source: interpreter.path, target: '/var/lang/bin/node', command: '/var/lang/bin/node' };
  }
  const insidePrefix = interpreter.path.slice(interpreter.root.length);
  const command = interpreter.path.startsWith(`${interpreter.root}/`)
    ? `/var/lang${insidePrefix}`
    : interpreter.path;
  return { source: interpreter.root, target: '/var/lang', command };
}

function listDirectory(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
