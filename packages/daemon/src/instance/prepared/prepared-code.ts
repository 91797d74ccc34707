import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { LIMITS } from '@thaw/protocol/limits.ts';
import type { ThawError } from '@thaw/protocol/thaw-error.ts';
import { z } from 'zod';
import type { PlatformLog } from '../../base/platform-log.ts';
import { linkTree } from '../../code/linked-tree.ts';
import type { RunnableVersion } from '../../model/runnable.ts';
import { requireInterpreter, type Interpreter } from '../interpreters.ts';
import { train, type TrainingContext } from './training.ts';
import { isWorthPreparing } from './worth-preparing.ts';

/** Versions that wait to be prepared; further ones run unprepared until they are asked for again. */
const WAITING_MAX = 1_000;
const ARCHIVE_LIMITS = { bytesMax: 256 * 1024 * 1024, filesMax: LIMITS.codeEntriesMax };
const MANIFEST = 'manifest.json';
const DIGEST = /^[0-9a-f]{64}$/u;

/** SHA-256 of each file by its path below the preparation's directory. */
const manifestSchema = z.record(z.string(), z.string());

export interface PreparedCodeOptions extends TrainingContext {
  /** `<data>/prepared`: below it a directory for each code package and in that one for each preparation. */
  readonly directory: string;
  readonly isEnabled: boolean;
  readonly interpreters: readonly Interpreter[];
  /** Settles when the shim can be started for this runtime: Java's is compiled for its first function. */
  readonly shimReady: (interpreter: Interpreter, runtime: string) => Promise<void>;
  readonly log: PlatformLog;
  /** A version's code could not be loaded: whoever owns the function learns it before the first call. */
  readonly onUnloadable: (runnable: RunnableVersion, reason: string) => void;
}

type State = 'waiting' | 'ready' | 'none';

/**
 * What can be made of a version's code before it is called: V8's compile cache for Node, bytecode for Python, an archive of
 * the classes for Java. It is made
 * once after a deployment, one version after the other in the background, and shared read-only by all instances of the
 * function. An instance that starts earlier runs the code as it is.
 *
 * ```
 * unknown ─prepare▶ waiting ─▶ ready ─drop▶ none
 *                      └─ not worth it, not loadable ─▶ none
 * ```
 */
export class PreparedCode {
  readonly #options: PreparedCodeOptions;
  readonly #states = new Map<string, State>();
  readonly #keys = new WeakMap<RunnableVersion, string | undefined>();
  #queue: { readonly key: string; readonly runnable: RunnableVersion }[] = [];
  #working: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: PreparedCodeOptions) {
    this.#options = options;
  }

  /** The version with its prepared code where that is ready, else as it is. */
  apply(runnable: RunnableVersion): RunnableVersion {
    const key = this.#keyOf(runnable);
    if (key === undefined || this.#states.get(key) !== 'ready') return runnable;
    const place = this.#placeOf(runnable, key);
    if (runnable.family !== 'python3') return { ...runnable, compileCacheDirectory: join(place, 'cache') };
    const { layerDirectory } = runnable;
    return {
      ...runnable,
      codeDirectory: join(place, 'code'),
      layerDirectory: layerDirectory === undefined ? undefined : join(place, 'layers'),
    };
  }

  /** Begins to prepare the version in the background, unless that was done. */
  prepare(runnable: RunnableVersion): void {
    const key = this.#keyOf(runnable);
    if (key === undefined || this.#states.has(key) || this.#isClosed) return;
    if (this.#queue.length >= WAITING_MAX) return;
    this.#states.set(key, 'waiting');
    this.#queue.push({ key, runnable });
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  /** What was prepared for this version is suspected of harm: it is not used again. */
  drop(runnable: RunnableVersion): void {
    const key = this.#keyOf(runnable);
    if (key === undefined || this.#states.get(key) !== 'ready') return;
    this.#states.set(key, 'none');
    this.#options.log('warning', `the prepared code of function '${runnable.functionName}' was dropped`);
    this.#remove(this.#placeOf(runnable, key));
  }

  /** Removes what was prepared of code packages that are gone. */
  async collect(): Promise<void> {
    const { directory } = this.#options;
    const codeStore = join(dirname(directory), 'code');
    for (const digest of await readdir(directory).catch(() => [])) {
      if (!existsSync(join(codeStore, digest)))
        await rm(join(directory, digest), { recursive: true, force: true });
    }
  }

  /** Settles when no preparation runs any more; those that wait are forgotten. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#queue = [];
    await this.#working;
  }

  async #work(): Promise<void> {
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      const { key, runnable } = next;
      let state: State = 'none';
      try {
        if (await this.#make(key, runnable)) state = 'ready';
      } catch (error) {
        // Whoever calls the function is told by the same words why it cannot start.
        const reason = error instanceof Error ? error.message : String(error);
        if (!this.#isClosed) this.#options.onUnloadable(runnable, reason);
      }
      this.#states.set(key, state);
    }
  }

  /** Whether there is something to use. */
  async #make(key: string, runnable: RunnableVersion): Promise<boolean> {
    const place = this.#placeOf(runnable, key);
    if (await isWhole(place)) return true;
    if (existsSync(place)) {
      const { functionName } = runnable;
      const what = `the prepared code of function '${functionName}' was damaged and is made anew`;
      this.#options.log('warning', what);
    }
    await rm(place, { recursive: true, force: true });
    const interpreter = requireInterpreter(this.#options.interpreters, runnable.runtime);
    const isPython = interpreter.family === 'python3';
    const { codeDirectory, layerDirectory } = runnable;
    const roots = [codeDirectory, ...(layerDirectory === undefined ? [] : [layerDirectory])];
    if (!(await isWorthPreparing(roots, interpreter.family))) return false;
    await this.#options.shimReady(interpreter, runnable.runtime);
    const temporary = `${place}.tmp`;
    await rm(temporary, { recursive: true, force: true });
    try {
      await mkdir(temporary, { recursive: true, mode: 0o755 });
      // Instances run as other users and must get through.
      for (const path of [this.#options.directory, dirname(place), temporary]) await chmod(path, 0o755);
      if (isPython) {
        await linkTree(codeDirectory, join(temporary, 'code'));
        if (layerDirectory !== undefined) await linkTree(layerDirectory, join(temporary, 'layers'));
      }
      const paths = await train(this.#options, runnable, interpreter, temporary, ARCHIVE_LIMITS);
      if (paths.length === 0) return false;
      const manifest: Record<string, string> = {};
      for (const path of paths) manifest[path] = await digestOf(join(temporary, path));
      await writeFile(join(temporary, MANIFEST), JSON.stringify(manifest));
      await rename(temporary, place);
      return true;
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
  }

  /**
   * Undefined where there is nothing to prepare. Two functions never share: what one's code does to its own preparation
   * must not reach the other.
   */
  #keyOf(runnable: RunnableVersion): string | undefined {
    // Twice for each start.
    if (this.#keys.has(runnable)) return this.#keys.get(runnable);
    const key = this.#computeKey(runnable);
    this.#keys.set(runnable, key);
    return key;
  }

  #computeKey(runnable: RunnableVersion): string | undefined {
    const { family, codeDirectory, layerDirectory, functionName, runtime } = runnable;
    if (!this.#options.isEnabled) return undefined;
    // Without sandboxes instances share what the cache's place would be in; a developer's directory changes.
    if (this.#options.driver.name === 'process' || !DIGEST.test(basename(codeDirectory))) return undefined;
    if (family !== 'nodejs' && family !== 'python3' && family !== 'java') return undefined;
    const interpreter = requireInterpreter(this.#options.interpreters, runtime);
    const hooks = [runnable.initializer, ...Object.values(runnable.hooks)].map((hook) => hook?.handler ?? '');
    const what = [
      functionName,
      basename(codeDirectory),
      basename(layerDirectory ?? ''),
      interpreter.path,
      interpreter.fullVersion,
      runnable.handler,
      ...hooks,
      runnable.environment['NODE_OPTIONS'] ?? '',
      // An archive is for one build, its flags, and the very file of the shim.
      ...(family === 'java' ? [runtime, interpreter.build, this.#options.shims] : []),
    ];
    return createHash('sha256').update(JSON.stringify(what)).digest('hex').slice(0, 32);
  }

  #placeOf({ codeDirectory }: RunnableVersion, key: string): string {
    return join(this.#options.directory, basename(codeDirectory), key);
  }

  #remove(place: string): void {
    rm(place, { recursive: true, force: true }).catch((error: unknown) =>
      this.#options.log('error', `prepared code could not be removed from ${place}`, error),
    );
  }
}

/**
 * Whether what was prepared may be why a start failed, and not the code itself: that is read where the code is loaded, and
 * an archive of Java's while its virtual machine boots.
 */
export function isSuspect(
  { family }: Pick<RunnableVersion, 'family'>,
  { code, details }: ThawError,
): boolean {
  if (code === 'CODE_NOT_LOADED') return true;
  // The sandbox was there, and its process ended.
  return family === 'java' && code === 'SANDBOX_FAILED' && details['exitCode'] !== undefined;
}

/** Whether every file is there and is what it was: a damaged cache can end the process that reads it. */
async function isWhole(place: string): Promise<boolean> {
  try {
    const manifest = manifestSchema.parse(JSON.parse(await readFile(join(place, MANIFEST), 'utf8')));
    for (const [path, digest] of Object.entries(manifest)) {
      if ((await digestOf(join(place, path))) !== digest) return false;
    }
    return true;
  } catch {
    return false;
  }
}

async function digestOf(file: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(file))
    .digest('hex');
}
