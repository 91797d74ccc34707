import { createServer, type Socket } from 'node:net';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { DeadlineWheel } from '../../base/deadline-wheel.ts';
import type { RunnableVersion } from '../../model/runnable.ts';
import type { SandboxDriver, SandboxSpec } from '../../sandbox/sandbox.ts';
import { InstanceOutput } from '../instance-output.ts';
import { instanceFiles, sandboxSpec, SHIM_TARGET, type InstanceFiles } from '../instance-layout.ts';
import type { Interpreter } from '../interpreters.ts';
import { javaArchivedClassPath, javaFlags, javaTraining } from '../java-options.ts';
import { listenOn } from '../listen-on.ts';
import { receiveArchive, type ArchiveLimits } from './prepared-archive.ts';

/** Loading the code of a function that would take longer is worth less than what it keeps busy. */
const TRAINING_MS_MAX = 120_000;
/** Against functions that serve, a preparation takes what is left of the CPU. */
const CPU_SHARE = 2;
const MEMORY_MB_MIN = 512;
/** A newer JDK writes its archive in a process of its own beside the training. */
const JAVA_MEMORY_MB_MIN = 1024;

export interface TrainingContext {
  readonly driver: SandboxDriver;
  readonly wheel: DeadlineWheel;
  readonly runDirectory: string;
  /** Directory with the shims of all languages. */
  readonly shims: string;
  /** Ends it early. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs a language's `prepare` program on a version's code in a sandbox without a network and writes what it made below
 * `directory`. Gives the paths. Throws where the code cannot be loaded; the message says what it printed.
 */
export async function train(
  context: TrainingContext,
  runnable: RunnableVersion,
  interpreter: Interpreter,
  directory: string,
  limits: ArchiveLimits,
): Promise<string[]> {
  const specOf = (id: string, files: InstanceFiles): SandboxSpec => {
    const spec = sandboxSpec(runnable, id, interpreter, files, context.driver.name);
    const isJava = interpreter.family === 'java';
    const memoryMbMin = isJava ? JAVA_MEMORY_MB_MIN : MEMORY_MB_MIN;
    return {
      ...spec,
      command: isJava
        ? javaCommand(spec.command, runnable, interpreter)
        : prepareCommand(spec.command, runnable),
      memoryBytesMax: Math.max(spec.memoryBytesMax, memoryMbMin * 1024 * 1024),
      cpuShare: CPU_SHARE,
      network: 'none',
    };
  };
  return runTraining(context, specOf, directory, limits);
}

/** Runs a sandbox whose command writes an archive to its stdout, and unpacks that below `directory`. Gives the paths. */
export async function runTraining(
  { driver, wheel, runDirectory, shims, signal }: TrainingContext,
  specOf: (id: string, files: InstanceFiles) => SandboxSpec,
  directory: string,
  limits: ArchiveLimits,
): Promise<string[]> {
  const id = `p${process.hrtime.bigint().toString(36)}`;
  const files = instanceFiles(runDirectory, shims, id);
  const stdioSocket = join(files.directory, 'io');
  const output = new InstanceOutput(wheel, () => undefined);
  const connected = Promise.withResolvers<Socket>();
  const server = createServer((socket) => {
    server.close();
    // A socket that breaks ends the archive early, which its reader says.
    socket.on('error', () => socket.destroy());
    connected.resolve(socket);
  });
  try {
    await mkdir(join(files.directory, 'link'), { recursive: true, mode: 0o755 });
    await Promise.all([output.listen(files.outputSocket), listenOn(server, stdioSocket)]);
    const sandbox = await driver.start({ ...specOf(id, files), stdioSocket });
    const kill = (): void => sandbox.kill();
    const deadline = wheel.set(TRAINING_MS_MAX, kill);
    signal?.addEventListener('abort', kill);
    if (signal?.aborted === true) kill();
    try {
      const archive = receiveArchive(await connected.promise, directory, limits);
      archive.catch(kill);
      const [paths, exit] = await Promise.allSettled([archive, sandbox.exited]);
      if (exit.status === 'fulfilled' && exit.value.code === 0 && paths.status === 'fulfilled')
        return paths.value;
      await output.ended();
      const cause: unknown = paths.status === 'rejected' ? paths.reason : undefined;
      throw new ThawError('CODE_NOT_LOADED', output.stderrTail.trim() || 'the preparation was ended', {
        cause,
      });
    } finally {
      wheel.clear(deadline);
      signal?.removeEventListener('abort', kill);
      kill();
    }
  } finally {
    server.close();
    output.close();
    await rm(files.directory, { recursive: true, force: true });
  }
}

/** The shim's own command, with `prepare` in the shim's place and what to prepare behind it. */
function prepareCommand(
  command: readonly [string, ...string[]],
  runnable: RunnableVersion,
): [string, ...string[]] {
  const [program, ...args] = command;
  const hooks = [runnable.initializer, ...Object.values(runnable.hooks)].flatMap(
    (hook) => hook?.handler ?? [],
  );
  const what = JSON.stringify({
    codePath: '/code',
    layerPath: '/opt',
    handlers: [runnable.handler, ...hooks],
  });
  return [program, ...args.map((arg) => arg.replace(/shim\.(cjs|py)$/u, 'prepare.$1')), what];
}

/** The shim's own flags, and what has the handler's class and all that it needs to be made loaded. */
function javaCommand(
  [program, ...args]: readonly [string, ...string[]],
  { runtime, handler, handlerType }: RunnableVersion,
  jdk: Interpreter,
): [string, ...string[]] {
  const heap = args.filter((arg) => arg.startsWith('-Xmx'));
  const classPath = javaArchivedClassPath(SHIM_TARGET, '/code', '/opt');
  const flags = [...javaFlags(runtime), ...heap, '-cp', classPath];
  return javaTraining(jdk, program, flags, [handler, handlerType]);
}
