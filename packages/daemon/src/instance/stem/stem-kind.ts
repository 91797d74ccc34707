import { join, posix } from 'node:path';
import type { RunnableVersion } from '../../model/runnable.ts';
import type { SandboxChange, SandboxMaker, SandboxSpec } from '../../sandbox/sandbox.ts';
import { instanceFiles, sandboxSpec, SHIM_TARGET, type InstanceFiles } from '../instance-layout.ts';
import { SHIM_LANGUAGES } from '../shim-languages.ts';
import { requireInterpreter, type Interpreter } from '../interpreters.ts';
import { fitsJavaStem, javaStem } from './java-stem.ts';
import { startupVariable } from './startup-variables.ts';

/** Where a function's own directories appear, all of them read-only: its code, its layers, what was prepared for it. */
const LATE_TARGETS = ['/code', '/opt', '/run/thaw/cache'];
const LINK_TARGET = '/run/thaw/link';
/** The same for every function of a runtime. */
const COMMON_TARGETS = [LINK_TARGET, SHIM_TARGET, '/var/lang'];
const MEGABYTE = 1024 * 1024;
/** The smallest that a function may have: what a stem becomes never has less. */
const STEM_MEMORY_BYTES = 128 * MEGABYTE;
const STEM_TEMPORARY_BYTES = MEGABYTE;
/** Against instances that work, a booting stem yields. */
const STEM_CPU_SHARE = 32;

/** What stems must have in common to become the same functions. */
export interface StemKind {
  readonly key: string;
  readonly interpreter: Interpreter;
  /** As configured, of one of the functions that share it. */
  readonly runtime: string;
  /** Forked by a process that makes sandboxes, where the machine can: at less cost than any other could be. */
  readonly isForked: boolean;
  /** What starts one. */
  spec(id: string, files: InstanceFiles, cpuShare?: number): SandboxSpec;
}

export interface StemPlaces {
  readonly interpreters: readonly Interpreter[];
  readonly runDirectory: string;
  readonly shimsDirectory: string;
  readonly cannotSpecialize: string | undefined;
  /** Makes sandboxes of programs that cannot be forked themselves; undefined: the driver's own program does. */
  readonly maker: SandboxMaker | undefined;
  /** Whether programs that can be forked are; else each is started by itself. */
  readonly forks: boolean;
}

/**
 * The kind of stem that can become an instance of this version, or why none can. It is made of the version's own
 * specification: what can be changed later is taken out, and all that is left, known here or not, tells the kinds apart.
 * Throws RUNTIME_UNAVAILABLE.
 */
export function stemKindOf(runnable: RunnableVersion, places: StemPlaces): StemKind | string {
  const { family } = runnable;
  if (places.cannotSpecialize !== undefined) return places.cannotSpecialize;
  if (family !== 'nodejs' && family !== 'python3' && family !== 'java') return 'its program is its own';
  const variable = startupVariable(family, runnable.environment);
  if (variable !== undefined) return `${variable} is read when the runtime starts`;
  const interpreter = requireInterpreter(places.interpreters, runnable.runtime);
  const files = instanceFiles(places.runDirectory, places.shimsDirectory, 'stem');
  if (family === 'java') {
    const { environment } = sandboxSpec(runnable, 'stem', interpreter, files, 'bubblewrap');
    if (!fitsJavaStem(environment)) return 'its variables are too many';
  }
  const nobodys = {
    ...runnable,
    environment: {},
    ...(family === 'java' && { compileCacheDirectory: undefined }),
  };
  const own = sandboxSpec(nobodys, 'stem', interpreter, files, 'bubblewrap');
  const odd = own.mounts.find(({ target, readOnly }) => !readOnly || !isKnownTarget(target));
  if (odd !== undefined) return `${odd.target} cannot come into a running sandbox`;
  const { FC_FUNC_CODE_PATH: _code, FC_INSTANCE_ID: _instance, ...environment } = own.environment;
  const java = family === 'java' ? javaStem(own.command) : undefined;
  const generic: SandboxSpec = {
    ...own,
    ...java,
    // The shim may use its time to make ready what most functions need.
    environment: { ...environment, ...(java?.environment ?? { THAW_STEM: '1' }) },
    workingDirectory: family === 'java' ? own.workingDirectory : '/',
    mounts: own.mounts.filter(({ target }) => !LATE_TARGETS.includes(target)),
    memoryBytesMax: STEM_MEMORY_BYTES,
    cpu: undefined,
    cpuShare: STEM_CPU_SHARE,
    temporaryBytesMax: STEM_TEMPORARY_BYTES,
    lateTargets: LATE_TARGETS,
    zygote: places.forks ? zygoteOf(own) : undefined,
    // A JVM starts in the directory of its code, where a maker does not go.
    maker: family === 'nodejs' ? places.maker : undefined,
  };
  return {
    key: JSON.stringify(generic),
    interpreter,
    runtime: runnable.runtime,
    isForked: generic.zygote !== undefined || generic.maker !== undefined,
    spec: (id, { directory, outputSocket }, cpuShare = STEM_CPU_SHARE) => ({
      ...generic,
      id,
      cpuShare,
      outputSocket,
      mounts: generic.mounts.map((mount) =>
        mount.target === LINK_TARGET ? { ...mount, source: join(directory, 'link') } : mount,
      ),
    }),
  };
}

/** What can make sandboxes here: a Python that every sandbox sees, so that it needs nothing beside it. */
export function makerOf(
  interpreters: readonly Interpreter[],
  shimsDirectory: string,
): SandboxMaker | undefined {
  const python = interpreters.find(({ family, path }) => family === 'python3' && path.startsWith('/usr/'));
  if (python === undefined) return undefined;
  return { python: python.path, directory: join(shimsDirectory, SHIM_LANGUAGES.python3.directory) };
}

/** Of the command of a shim, the one that forks it. Node cannot be forked once it has threads. */
function zygoteOf({ command }: SandboxSpec): [string, ...string[]] | undefined {
  const [program, ...args] = command;
  const script = args.pop();
  if (script === undefined || posix.basename(script) !== 'shim.py') return undefined;
  return [program, ...args, posix.join(posix.dirname(script), 'zygote.py')];
}

/** An unknown one would make a kind for each function. */
function isKnownTarget(target: string): boolean {
  const isCommon = COMMON_TARGETS.some((common) => target === common || target.startsWith(`${common}/`));
  return isCommon || LATE_TARGETS.includes(target);
}

/** What of an instance's specification its stem lacks. */
export function changeFor(spec: SandboxSpec): SandboxChange {
  const { memoryBytesMax, cpu, cpuShare, temporaryBytesMax, mounts } = spec;
  return {
    memoryBytesMax,
    cpu,
    cpuShare,
    temporaryBytesMax,
    mounts: mounts.filter(({ target }) => LATE_TARGETS.includes(target)),
  };
}
