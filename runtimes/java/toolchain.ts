/** Compiles and starts the Java shim from build.json, as README.md tells it; for tests and benchmarks. */
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';

export interface Jdk {
  readonly major: number;
  /** `java` and `javac` are in its `bin`. */
  readonly home: string;
}

const MAJOR_MIN = 17;
const PROBE_MS_MAX = 20_000;
const COMPILE_MS_MAX = 120_000;
const FETCH_MS_MAX = 120_000;
const INTERFACES = { group: 'com.aliyun.fc.runtime', artifact: 'fc-java-core', version: '1.4.1' } as const;
const run = promisify(execFile);

interface Build {
  readonly mainClass: string;
  readonly trainingClass: string;
  readonly sources: string;
  readonly names: string;
  readonly compile: readonly string[];
  readonly flags: readonly string[];
  /** These runtimes allowed reflection into the JDK, and libraries of their time count on it. */
  readonly olderRuntimes: readonly string[];
  readonly olderFlags: readonly string[];
}

const build = readBuild();

/** Every JDK from 17 up that can be found, one of each version, the oldest first. */
export function findJdks(): Jdk[] {
  const systems = '/usr/lib/jvm';
  const candidates = [
    process.env['JAVA_HOME'] ?? '',
    ...listDirectory(systems).map((name) => join(systems, name)),
    ...(process.env['PATH'] ?? '').split(delimiter).map((directory) => homeOf(join(directory, 'javac'))),
  ];
  const found = new Map<number, Jdk>();
  for (const home of new Set(candidates)) {
    if (home === '' || !existsSync(join(home, 'bin', 'javac'))) continue;
    const options = { encoding: 'utf8', timeout: PROBE_MS_MAX } as const;
    const { stdout } = spawnSync(join(home, 'bin', 'java'), ['--version'], options);
    const major = Number(/^\S+ (\d+)/.exec(stdout)?.[1]);
    if (major >= MAJOR_MIN && !found.has(major)) found.set(major, { major, home: realpathSync(home) });
  }
  return [...found.values()].toSorted((a, b) => a.major - b.major);
}

/** Puts the shim as `shim.jar` into a directory, and gives its path. */
export async function compileShim(jdk: Jdk, directory: string): Promise<string> {
  const classes = join(directory, 'shim-classes');
  const options = ['-sourcepath', join(import.meta.dirname, build.names)];
  await compile(jdk, join(import.meta.dirname, build.sources), classes, [...build.compile, ...options]);
  const jar = join(directory, 'shim.jar');
  const timeout = COMPILE_MS_MAX;
  await run(join(jdk.home, 'bin', 'jar'), ['--create', '--file', jar, '-C', classes, '.'], { timeout });
  return jar;
}

/** Compiles all Java files below a directory. */
export async function compile(
  jdk: Jdk,
  sources: string,
  classes: string,
  options: readonly string[],
): Promise<void> {
  const files = readdirSync(sources, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.java'))
    .map((name) => join(sources, name));
  await mkdir(classes, { recursive: true });
  const javac = join(jdk.home, 'bin', 'javac');
  await run(javac, [...options, '-d', classes, ...files], { timeout: COMPILE_MS_MAX });
}

export interface Start {
  readonly shim: string;
  readonly codePath: string;
  readonly layerPath: string;
  readonly memoryMb: number;
  /** As configured, e.g. `java11`. */
  readonly runtime?: string;
  /** What `archive` made for this JDK, if it did. */
  readonly archive?: string;
}

/**
 * The command line of an instance; the path of the link follows as its argument. Class path and environment are fixed
 * when the process starts.
 */
export function startCommand(jdk: Jdk, start: Start): string[] {
  const flags = [...build.flags, `-Xmx${heapMb(start.memoryMb)}m`];
  if (build.olderRuntimes.includes(start.runtime ?? '')) flags.push(...build.olderFlags);
  else if (start.archive !== undefined) flags.push(`${archiveOptions(jdk).use}=${start.archive}`);
  return [join(jdk.home, 'bin', 'java'), ...flags, '-cp', classPath(start), build.mainClass];
}

/** As `startCommand`, for a process that does not know its function yet; room for variables is the caller's to give. */
export function stemCommand(jdk: Jdk, start: Start, link: string): string[] {
  const command = startCommand(jdk, start);
  const classPathArchive = `${link}.jar`;
  const at = command.indexOf('-cp') + 1;
  return [...command.with(at, [start.shim, classPathArchive].join(delimiter)), link, classPathArchive];
}

/** What is left for the virtual machine itself: its code, classes and stacks. */
export function heapMb(memoryMb: number): number {
  return Math.max(16, memoryMb - Math.max(64, Math.floor(memoryMb / 4)));
}

/** Archives the classes of the shim for one JDK, so that its starts need not load them from the jar; gives its path. */
export async function archive(jdk: Jdk, shim: string, directory: string): Promise<string> {
  const path = join(directory, `java${jdk.major}.archive`);
  const socket = join(directory, `java${jdk.major}.sock`);
  const flags = [...build.flags, `${archiveOptions(jdk).create}=${path}`];
  const args = [...flags, '-cp', shim, build.trainingClass, socket];
  await run(join(jdk.home, 'bin', 'java'), args, { timeout: COMPILE_MS_MAX });
  return path;
}

/** An AOT cache (JEP 514) holds linked classes; what older ones have are loaded ones. */
function archiveOptions({ major }: Jdk): { create: string; use: string } {
  return major >= 25
    ? { create: '-XX:AOTCacheOutput', use: '-XX:AOTCache' }
    : { create: '-XX:ArchiveClassesAtExit', use: '-XX:SharedArchiveFile' };
}

/** The shim is first, so that what is archived of it fits every function; `java` itself reads the wildcards. */
export function classPath({ shim, codePath, layerPath }: Start): string {
  const entries = [shim, `${codePath}/`, `${codePath}/*`, `${codePath}/lib/*`, `${layerPath}/java/lib/*`];
  return entries.join(delimiter);
}

/** The jar of the published interfaces, from Maven's own store or by Maven; undefined where neither has it. */
export async function fetchInterfaces(directory: string): Promise<string | undefined> {
  const { group, artifact, version } = INTERFACES;
  const name = `${artifact}-${version}.jar`;
  const stored = join(homedir(), '.m2', 'repository', ...group.split('.'), artifact, version, name);
  if (existsSync(stored)) return stored;
  const goal = [
    'dependency:copy',
    `-Dartifact=${group}:${artifact}:${version}`,
    `-DoutputDirectory=${directory}`,
  ];
  try {
    await run('mvn', ['--batch-mode', '--quiet', ...goal], { timeout: FETCH_MS_MAX });
  } catch {
    return undefined;
  }
  return join(directory, name);
}

function readBuild(): Build {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- our own file, beside this one
  return JSON.parse(readFileSync(join(import.meta.dirname, 'build.json'), 'utf8')) as Build;
}

/** Where a `javac` on PATH lives, links resolved. */
function homeOf(javac: string): string {
  return existsSync(javac) ? dirname(dirname(realpathSync(javac))) : '';
}

function listDirectory(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
