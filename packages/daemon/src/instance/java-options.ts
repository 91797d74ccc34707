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

function isOlder(runtime: string): boolean {
  return JAVA_BUILD.olderRuntimes.includes(runtime);
}
