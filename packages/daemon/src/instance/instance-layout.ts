import { join } from 'node:path';
import type { RunnableVersion } from '../model/runnable.ts';
import type { SandboxDriver, SandboxMount, SandboxSpec } from '../sandbox/sandbox.ts';
import type { Specialization } from '../transport/link/link-messages.ts';
import { interpreterMount, type Interpreter } from './interpreters.ts';
import { SHIM_LANGUAGES, type ShimPlaces } from './shim-languages.ts';

export interface InstanceFiles {
  /** Directory on the host for this instance's sockets. */
  readonly directory: string;
  /** Directory on the host with the shims of all languages. */
  readonly shims: string;
  readonly linkSocket: string;
  readonly outputSocket: string;
}

/** Names are short: the path of a unix socket has at most 107 bytes. */
export function instanceFiles(runDirectory: string, shims: string, instanceId: string): InstanceFiles {
  const directory = join(runDirectory, 'i', instanceId);
  return { directory, shims, linkSocket: join(directory, 'link', 's'), outputSocket: join(directory, 'out') };
}

export function sandboxSpec(
  runnable: RunnableVersion,
  instanceId: string,
  interpreter: Interpreter,
  files: InstanceFiles,
  driver: SandboxDriver['name'],
): SandboxSpec {
  const places = placesOf(runnable, interpreter, files, driver);
  const environment = environmentOf(runnable, instanceId, places);
  return {
    id: instanceId,
    command: SHIM_LANGUAGES[interpreter.family].command(places, runnable, interpreter),
    // A JVM cannot take a variable away, so its shim gets the link as an argument.
    environment: interpreter.family === 'java' ? environment : { ...environment, THAW_LINK: places.link },
    workingDirectory: places.code,
    mounts: driver === 'process' ? [] : mountsOf(runnable, interpreter, files),
    memoryBytesMax: runnable.memoryMb * 1024 * 1024,
    cpu: runnable.cpu,
    cpuShare: runnable.memoryMb,
    processesMax: PROCESSES_MAX,
    temporaryBytesMax: runnable.diskMb * 1024 * 1024,
    network: runnable.internetAccess ? 'private' : 'none',
    outputSocket: files.outputSocket,
  };
}

const PROCESSES_MAX = 1024;
/** Prepared code is for sandboxes alone. */
const COMPILE_CACHE = '/run/thaw/cache';
/** Where sandboxes see the shim: before JDK 25 an archive of its classes is for that path alone. */
export const SHIM_TARGET = '/run/thaw/runtime';

export function specialization(
  runnable: RunnableVersion,
  instanceId: string,
  interpreter: Interpreter,
  files: InstanceFiles,
  driver: SandboxDriver['name'],
): Specialization {
  const places = placesOf(runnable, interpreter, files, driver);
  return {
    instanceId,
    function: {
      name: runnable.functionName,
      handler: runnable.handler,
      memory: runnable.memoryMb,
      timeout: runnable.timeoutMs / 1000,
      initializer: runnable.initializer?.handler ?? null,
      initializationTimeout: runnable.initializer?.timeout ?? 0,
      preFreeze: runnable.hooks.preFreeze?.handler ?? null,
      preStop: runnable.hooks.preStop?.handler ?? null,
      postThaw: runnable.hooks.postThaw?.handler ?? null,
      versionId: runnable.versionId,
      qualifier: runnable.versionId,
    },
    handlerType: runnable.handlerType,
    codePath: places.code,
    layerPath: places.layers,
    ...(runnable.compileCacheDirectory === undefined ? {} : { compileCachePath: COMPILE_CACHE }),
    environment: environmentOf(runnable, instanceId, places),
    concurrency: runnable.instanceConcurrency,
    region: runnable.environment['FC_REGION'] ?? '',
    accountId: runnable.environment['FC_ACCOUNT_ID'] ?? '',
    logProject: runnable.logProject,
    logStore: runnable.logStore,
  };
}

function placesOf(
  runnable: RunnableVersion,
  interpreter: Interpreter,
  files: InstanceFiles,
  driver: SandboxDriver['name'],
): ShimPlaces {
  const { directory } = SHIM_LANGUAGES[interpreter.family];
  if (driver === 'process') {
    return {
      code: runnable.codeDirectory,
      layers: runnable.layerDirectory ?? '/nonexistent',
      shim: join(files.shims, directory),
      link: files.linkSocket,
      interpreter: interpreter.path,
      cache: undefined,
    };
  }
  return {
    code: '/code',
    layers: '/opt',
    shim: SHIM_TARGET,
    link: '/run/thaw/link/s',
    interpreter: interpreterMount(interpreter)?.command ?? interpreter.path,
    cache: runnable.compileCacheDirectory === undefined ? undefined : COMPILE_CACHE,
  };
}

function mountsOf(runnable: RunnableVersion, interpreter: Interpreter, files: InstanceFiles): SandboxMount[] {
  const shims = join(files.shims, SHIM_LANGUAGES[interpreter.family].directory);
  const mounts: SandboxMount[] = [
    { source: runnable.codeDirectory, target: '/code', readOnly: true },
    { source: shims, target: SHIM_TARGET, readOnly: true },
    { source: join(files.directory, 'link'), target: '/run/thaw/link', readOnly: true },
  ];
  if (runnable.layerDirectory !== undefined) {
    mounts.push({ source: runnable.layerDirectory, target: '/opt', readOnly: true });
  }
  if (runnable.compileCacheDirectory !== undefined) {
    mounts.push({ source: runnable.compileCacheDirectory, target: COMPILE_CACHE, readOnly: true });
  }
  const interpreterFiles = interpreterMount(interpreter);
  if (interpreterFiles !== undefined) {
    mounts.push({ source: interpreterFiles.source, target: interpreterFiles.target, readOnly: true });
  }
  return mounts;
}

function environmentOf(
  runnable: RunnableVersion,
  instanceId: string,
  places: ShimPlaces,
): Record<string, string> {
  return {
    PATH: `/var/lang/bin:${places.layers}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin`,
    HOME: '/tmp',
    LANG: 'C.UTF-8',
    ...runnable.environment,
    LD_LIBRARY_PATH: libraryPath(runnable, places),
    FC_FUNC_CODE_PATH: `${places.code}/`,
    FC_INSTANCE_ID: instanceId,
  };
}

/**
 * An interpreter that was moved to `/var/lang` may be a small program around a library of its own, which the loader
 * would look for where it was built, or worse, find another release of in the system.
 */
function libraryPath({ environment }: RunnableVersion, { code, layers, interpreter }: ShimPlaces): string {
  const path = environment['LD_LIBRARY_PATH'] ?? `${code}:${code}/lib:${layers}/lib`;
  return interpreter.startsWith('/var/lang/') ? `${path}:/var/lang/lib` : path;
}
