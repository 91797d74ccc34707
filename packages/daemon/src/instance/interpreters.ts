import { execFile } from 'node:child_process';
import { readdirSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { z } from 'zod';
import type { ShimFamily } from '../model/runnable.ts';

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
}

const PROBE_TIMEOUT_MS = 10_000;
const run = promisify(execFile);
/** Full version, executable, and what it needs beside it. */
const probeSchema = z.tuple([z.string(), z.string(), z.string()]);

/**
 * Every Node (18 and up) and Python (3.9 and up) that can be found: our own engine, `PATH`, and the places where the usual
 * version managers keep theirs.
 */
export async function findInterpreters(searchPath: string): Promise<readonly Interpreter[]> {
  const directories = searchPath.split(':').filter((directory) => directory.startsWith('/'));
  const names = directories.flatMap((directory) =>
    listDirectory(directory)
      .filter((name) => /^(node|python3(\.\d+)?)$/.test(name))
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
  const candidates = new Set([process.execPath, ...names, ...managed]);
  const probed = await Promise.all([...candidates].map(probe));
  const byPath = new Map<string, Interpreter>();
  for (const found of probed)
    if (found !== undefined && !byPath.has(found.path)) byPath.set(found.path, found);
  return [...byPath.values()];
}

/** Asks the program itself: its name, or a version manager's stand-in, says too little. */
async function probe(path: string): Promise<Interpreter | undefined> {
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

/**
 * The interpreter that a function's runtime runs on: the version it names; where the machine lacks it, the next newer
 * one, then the newest. What was chosen is told wherever runtimes are shown, and in the function's log.
 */
export function requireInterpreter(interpreters: readonly Interpreter[], runtime: string): Interpreter {
  const family: ShimFamily = runtime.startsWith('nodejs') ? 'nodejs' : 'python3';
  const named = runtime.slice(family === 'nodejs' ? 'nodejs'.length : 'python'.length);
  const [major = 0, minor = 0] = named.split('.').map((part) => Number.parseInt(part, 10) || 0);
  const wanted = family === 'nodejs' ? major : minor;
  const rank = (interpreter: Interpreter): number =>
    family === 'nodejs' ? interpreter.version[0] : interpreter.version[1];
  const ofFamily = interpreters.filter((interpreter) => interpreter.family === family);
  const newestFirst = ofFamily.toSorted((a, b) => rank(b) - rank(a));
  const chosen =
    // `python3` names no minor version: the first one on PATH is the machine's own choice.
    (family === 'python3' && wanted === 0 ? ofFamily[0] : undefined) ??
    newestFirst.find((interpreter) => rank(interpreter) === wanted) ??
    newestFirst.findLast((interpreter) => rank(interpreter) > wanted) ??
    newestFirst[0];
  if (chosen === undefined) {
    const program = family === 'nodejs' ? 'Node 18 or newer' : 'Python 3.9 or newer';
    throw new ThawError(
      'RUNTIME_UNAVAILABLE',
      `runtime ${runtime} needs ${program}, which this machine lacks`,
      {
        details: { runtime },
      },
    );
  }
  return chosen;
}

/** Whether the interpreter is the very version that the runtime names. */
export function isExactMatch(interpreter: Interpreter, runtime: string): boolean {
  const named = runtime.replace(/^[a-z]+/, '');
  if (interpreter.family === 'nodejs') return named === String(interpreter.version[0]);
  return named === '3' || named === interpreter.version.join('.');
}

/** Node is one file; Python needs its library beside it. */
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
