import type { Interpreter } from './interpreters.ts';
import { JAVA_BUILD } from './java-build.ts';

/** Below the shim's directory. */
export const JAVA_ARCHIVES = 'archives';

/** What the virtual machine is told in every start of this runtime. */
export function javaFlags(runtime: string): readonly string[] {
  return isOlder(runtime) ? [...JAVA_BUILD.flags, ...JAVA_BUILD.olderFlags] : JAVA_BUILD.flags;
}

/**
 * Name of the archive of the shim for this JDK and these flags. An archive fits one build of a virtual machine alone, so the
 * name tells builds apart.
 */
export function javaArchiveName({ fullVersion, build }: Interpreter, runtime: string): string {
  return `${fullVersion}-${build ?? 'unknown'}${isOlder(runtime) ? '-older' : ''}`;
}

/**
 * A file of options, below the shim's directory, that every start reads: it names the archive when there is one. So
 * whether there is one is nobody's business before the start itself.
 */
export function javaOptionsFile(interpreter: Interpreter, runtime: string): string {
  return `${JAVA_ARCHIVES}/${javaArchiveName(interpreter, runtime)}.options`;
}

/** An AOT cache (JEP 514) holds linked classes; what older ones have are loaded ones. */
export function javaArchiveOptions({ version: [major] }: Interpreter): { create: string; use: string } {
  return major >= 25
    ? { create: '-XX:AOTCacheOutput', use: '-XX:AOTCache' }
    : { create: '-XX:ArchiveClassesAtExit', use: '-XX:SharedArchiveFile' };
}

/** Path of the archive in what a training writes. */
export const JAVA_TRAINED = 'cache/archive';

/** Runs java and writes what archive it has left behind; it leaves a mark where there is none worth keeping. */
const TRAINING_SCRIPT = [
  `"$0" "$@" >&2`,
  `if [ ! -e /tmp/nothing ]; then [ -s /tmp/archive ]`,
  `printf '{"path":"${JAVA_TRAINED}","size":%d}\n' "$(wc -c </tmp/archive)"; cat /tmp/archive; fi`,
  `printf '{"end":true}\n'`,
].join('\n');

/** The command of a sandbox that writes an archive to its stdout (`Training.java`), with a function's handler or none. */
export function javaTraining(
  jdk: Interpreter,
  program: string,
  flags: readonly string[],
  handler: readonly string[],
): [string, ...string[]] {
  const create = `${javaArchiveOptions(jdk).create}=/tmp/archive`;
  const java = [program, create, ...flags, JAVA_BUILD.trainingClass, '/tmp/socket', ...handler];
  return ['/bin/sh', '-e', '-c', TRAINING_SCRIPT, ...java];
}

/**
 * The class path of a function whose code has an archive. No archive holds classes of a directory, or is used where one
 * with files in it comes before its own: an archive of ours that is nothing but a reference stands for `/code/`.
 */
export function javaArchivedClassPath(shim: string, code: string, layers: string): string {
  return [`${shim}/shim.jar`, `${shim}/${CODE_REFERENCE}`, ...librariesOf(code, layers)].join(':');
}

export function javaClassPath(shim: string, code: string, layers: string): string {
  // The shim first; `java` itself expands the stars.
  return [`${shim}/shim.jar`, `${code}/`, ...librariesOf(code, layers)].join(':');
}

/** Beside the shim; its manifest names `/code/`. */
export const CODE_REFERENCE = 'code.jar';

function librariesOf(code: string, layers: string): string[] {
  return [`${code}/*`, `${code}/lib/*`, `${layers}/java/lib/*`];
}

function isOlder(runtime: string): boolean {
  return JAVA_BUILD.olderRuntimes.includes(runtime);
}
