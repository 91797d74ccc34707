import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PlatformLog } from '../base/platform-log.ts';
import type { SandboxSpec } from '../sandbox/sandbox.ts';
import { SHIM_TARGET, type InstanceFiles } from './instance-layout.ts';
import { interpreterMount, type Interpreter } from './interpreters.ts';
import {
  JAVA_ARCHIVES,
  javaArchiveName,
  javaArchiveOptions,
  javaFlags,
  javaOptionsFile,
  JAVA_TRAINED,
  javaTraining,
} from './java-options.ts';
import { runTraining, type TrainingContext } from './prepared/training.ts';

/** A JDK 25 writes 13 MB, an older one 1 MB. */
const LIMITS = { bytesMax: 128 * 1024 * 1024, filesMax: 1 };
const MEGABYTE = 1024 * 1024;
/** A newer JDK writes its archive in a process of its own beside the training. */
const MEMORY_BYTES = 1024 * MEGABYTE;
const TEMPORARY_BYTES = 256 * MEGABYTE;
const PROCESSES_MAX = 1024;
/** Against functions that serve, the training yields; stems wait for it. */
const CPU_SHARE = 64;

export interface JavaArchivesOptions extends Omit<TrainingContext, 'shims' | 'signal'> {
  readonly isEnabled: boolean;
  readonly log: PlatformLog;
}

/**
 * Archives of the shim's classes and those of the JDK that it uses, one for each JDK (CDS, an AOT cache from 25 on), made by
 * a training run (`Training.java`) the first time that a JDK is used and kept below the data directory. A start reads
 * the file of options that is beside it, which is empty as long as there is none: whoever starts sooner starts slower.
 */
export class JavaArchives {
  readonly #options: JavaArchivesOptions;
  readonly #shims: string;
  readonly #directory: string;
  readonly #known = new Map<string, { readonly opened: Promise<void>; readonly ready: Promise<void> }>();
  readonly #closing = new AbortController();
  #last: Promise<void> = Promise.resolve();

  /** `shims` is the directory with the shims of all languages. */
  constructor(options: JavaArchivesOptions, shims: string) {
    this.#options = options;
    this.#shims = shims;
    this.#directory = join(shims, 'java', JAVA_ARCHIVES);
  }

  /** Settles when this JDK can be started: with the archive, where there is a whole one already. */
  async open(jdk: Interpreter, runtime: string): Promise<void> {
    await this.#stateOf(jdk, runtime).opened;
  }

  /** Settles when there is an archive, or will be none. Never rejects after `open` has succeeded. */
  async ready(jdk: Interpreter, runtime: string): Promise<void> {
    await this.#stateOf(jdk, runtime).ready;
  }

  /** Settles when no training runs any more. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#last;
  }

  #stateOf(jdk: Interpreter, runtime: string): { opened: Promise<void>; ready: Promise<void> } {
    const name = javaArchiveName(jdk, runtime);
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const isThere = this.#open(jdk, runtime);
    const state = {
      opened: isThere.then(() => undefined),
      ready: isThere.then((isWhole) => (isWhole ? undefined : this.#makeInTurn(jdk, runtime))),
    };
    // Who waits learns of it.
    state.ready.catch(() => undefined);
    state.opened.catch(() => this.#known.delete(name));
    this.#known.set(name, state);
    return state;
  }

  /** Whether there is a whole archive; what else there was is gone then. */
  async #open(jdk: Interpreter, runtime: string): Promise<boolean> {
    const { isEnabled, log } = this.#options;
    await mkdir(this.#directory, { recursive: true, mode: 0o755 });
    const path = join(this.#directory, javaArchiveName(jdk, runtime));
    const expected = await readFile(`${path}.sha256`, 'utf8').catch(() => undefined);
    const isWhole = isEnabled && expected !== undefined && (await digestOf(path)) === expected;
    if (isWhole) {
      await this.#writeOptions(jdk, runtime, path);
      return true;
    }
    await this.#writeOptions(jdk, runtime, undefined);
    if (isEnabled && expected !== undefined)
      log('warning', `the archive of the Java runtime for ${jdk.path} was damaged and is made anew`);
    if (isEnabled) for (const file of [path, `${path}.sha256`]) await rm(file, { force: true });
    return false;
  }

  /** One after the other. */
  #makeInTurn(jdk: Interpreter, runtime: string): Promise<void> {
    const { isEnabled, driver, log } = this.#options;
    // Without sandboxes every instance sees the shim elsewhere.
    if (!isEnabled || driver.name === 'process') return Promise.resolve();
    this.#last = this.#last.then(async () => {
      try {
        if (!this.#closing.signal.aborted) await this.#make(jdk, runtime);
      } catch (error) {
        if (!this.#closing.signal.aborted)
          log('warning', `there is no archive of the Java runtime for ${jdk.path}: starts are slower`, error);
      }
    });
    return this.#last;
  }

  async #make(jdk: Interpreter, runtime: string): Promise<void> {
    const path = join(this.#directory, javaArchiveName(jdk, runtime));
    const temporary = await mkdtemp(join(this.#directory, 'new-'));
    try {
      const { isEnabled: _isEnabled, log: _log, ...context } = this.#options;
      const training = { ...context, shims: this.#shims, signal: this.#closing.signal };
      const specOf = (id: string, files: InstanceFiles): SandboxSpec =>
        trainingSpec(jdk, runtime, join(this.#shims, 'java'), id, files.outputSocket);
      await runTraining(training, specOf, temporary, LIMITS);
      const made = join(temporary, JAVA_TRAINED);
      const digest = await digestOf(made);
      if (digest === undefined) throw new Error('the training has written something else');
      await rename(made, path);
      await writeFile(`${path}.sha256`, digest);
      await this.#writeOptions(jdk, runtime, path);
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
  }

  /** Seen by every start at once, whole or not at all. */
  async #writeOptions(jdk: Interpreter, runtime: string, archive: string | undefined): Promise<void> {
    const path = join(this.#shims, 'java', javaOptionsFile(jdk, runtime));
    const seenAt = `${SHIM_TARGET}/${JAVA_ARCHIVES}/${javaArchiveName(jdk, runtime)}`;
    const text = archive === undefined ? '' : `${javaArchiveOptions(jdk).use}=${seenAt}\n`;
    if ((await readFile(path, 'utf8').catch(() => undefined)) === text) return;
    await writeFile(`${path}.new`, text, { mode: 0o644 });
    await rename(`${path}.new`, path);
  }
}

/** The shim serves itself once, as `Training.java` says. */
function trainingSpec(
  jdk: Interpreter,
  runtime: string,
  shim: string,
  id: string,
  outputSocket: string,
): SandboxSpec {
  const mounted = interpreterMount(jdk);
  const mounts = [{ source: shim, target: SHIM_TARGET, readOnly: true }];
  if (mounted !== undefined) mounts.push({ source: mounted.source, target: mounted.target, readOnly: true });
  const program = mounted?.command ?? jdk.path;
  const flags = [...javaFlags(runtime), '-cp', `${SHIM_TARGET}/shim.jar`];
  return {
    id,
    command: javaTraining(jdk, program, flags, []),
    environment: { PATH: '/usr/bin:/bin', HOME: '/tmp', LANG: 'C.UTF-8' },
    workingDirectory: '/tmp',
    mounts,
    memoryBytesMax: MEMORY_BYTES,
    cpu: undefined,
    cpuShare: CPU_SHARE,
    processesMax: PROCESSES_MAX,
    temporaryBytesMax: TEMPORARY_BYTES,
    network: 'none',
    outputSocket,
  };
}

/** Undefined where there is no such file. */
async function digestOf(file: string): Promise<string | undefined> {
  const bytes = await readFile(file).catch(() => undefined);
  return bytes && createHash('sha256').update(bytes).digest('hex');
}
