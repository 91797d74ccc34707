import type { Clock } from '../../base/clock.ts';
import type { Deadline, DeadlineWheel } from '../../base/deadline-wheel.ts';
import type { PlatformLog } from '../../base/platform-log.ts';
import type { RunnableVersion, RuntimeFamily } from '../../model/runnable.ts';
import { instanceFiles, sandboxSpec, specialization } from '../instance-layout.ts';
import { requireInterpreter } from '../interpreters.ts';
import { changeFor, type StemPlaces } from '../stem/stem-kind.ts';
import type { StemPool } from '../stem/stem-pool.ts';
import type { Stem } from '../stem/stem.ts';
import {
  isWorthLoading,
  LOAD_AFTER_DEPLOYMENT_MS,
  LOAD_AFTER_START_MS,
  LOADED_IDLE_MS_MAX,
} from './load-policy.ts';

/** Versions whose starts are remembered; the one used longest ago is forgotten. */
const VERSIONS_MAX = 1024;
/** Of each version. */
const STARTS_MAX = 8;
/** Where another version's code is being loaded, or no stem is ready; for as long as it is worth it. */
const RETRY_MS = 200;
/** Nobody waits for it. */
const LOAD_MS_MAX = 120_000;
/** Whose shims know `hold` (docs/RUNTIMES.md, "Loaded ahead"). */
const CAN_HOLD: ReadonlySet<RuntimeFamily> = new Set<RuntimeFamily>(['nodejs', 'python3', 'java']);
/** A variable of the function: `off` where its modules must not be loaded before they are needed. */
const OPT_OUT = 'THAW_LOAD_AHEAD';

export interface LoadedStemsOptions {
  readonly clock: Clock;
  readonly wheel: DeadlineWheel;
  readonly log: PlatformLog;
  readonly stems: Pick<StemPool, 'spare' | 'hasKindFor'>;
  readonly places: StemPlaces;
  /** At once, of all versions; 0: none. */
  readonly max: number;
  /** What they may have used of the memory together. */
  readonly memoryBytesMax: number;
  /** The version with what was prepared of its code. */
  readonly prepared: (runnable: RunnableVersion) => RunnableVersion;
  /** Its code could not be loaded, whether by itself or by what was prepared of it. */
  readonly onFailed: (runnable: RunnableVersion) => void;
}

interface Version {
  readonly runnable: RunnableVersion;
  deployedMs: number | undefined;
  startsMs: number[];
  usedMs: number;
  stem: Stem | undefined;
  isLoading: boolean;
  /** Its code could not be loaded: whoever calls it is told why, and nobody tries before. */
  hasFailed: boolean;
  due: Deadline | undefined;
}

/**
 * Stems that have become one version's and have loaded its code, up to the initializer. The next instance of that version
 * comes of one. Each is a sandbox of its own like every other, frozen, for one instance; nothing is shared between them.
 */
export class LoadedStems {
  readonly #options: LoadedStemsOptions;
  /** By the version's key, the one used longest ago first. */
  readonly #versions = new Map<string, Version>();
  readonly #ending = new Set<Promise<void>>();
  #isLoading = false;
  #isClosed = false;

  constructor(options: LoadedStemsOptions) {
    this.#options = options;
  }

  /** How many there are, ready. */
  get count(): number {
    return [...this.#versions.values()].filter(({ stem, isLoading }) => stem !== undefined && !isLoading)
      .length;
  }

  /** This is deployed; undefined: the function is gone. */
  expect(functionName: string, runnable: RunnableVersion | undefined): void {
    for (const version of this.#versions.values()) {
      const { runnable: known } = version;
      const isReplaced = runnable === undefined || known.versionId === runnable.versionId;
      if (known.functionName === functionName && isReplaced && known.key !== runnable?.key)
        this.#forget(version);
    }
    if (runnable === undefined || this.#versions.has(runnable.key)) return;
    const version = this.#remember(runnable);
    if (version === undefined) return;
    version.deployedMs = version.usedMs;
    this.#loadIn(version, LOAD_AFTER_DEPLOYMENT_MS);
  }

  /** For an instance that starts; undefined where nothing is loaded for it. It is the caller's from now on. */
  take(runnable: RunnableVersion): Stem | undefined {
    const version = this.#remember(runnable);
    if (version === undefined) return undefined;
    version.startsMs = [...version.startsMs, version.usedMs].slice(-STARTS_MAX);
    const { stem } = version;
    version.stem = undefined;
    this.#loadIn(version, LOAD_AFTER_START_MS);
    return stem?.isBroken === true ? undefined : stem;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const version of this.#versions.values()) this.#forget(version);
    await Promise.all(this.#ending);
  }

  /** Undefined for versions that take no part. */
  #remember(runnable: RunnableVersion): Version | undefined {
    const { max, stems, clock } = this.#options;
    if (max === 0 || this.#isClosed || runnable.environment[OPT_OUT] === 'off') return undefined;
    const known = this.#versions.get(runnable.key);
    if (known === undefined && !(CAN_HOLD.has(runnable.family) && stems.hasKindFor(runnable)))
      return undefined;
    const version: Version = known ?? {
      runnable,
      deployedMs: undefined,
      startsMs: [],
      usedMs: 0,
      stem: undefined,
      isLoading: false,
      hasFailed: false,
      due: undefined,
    };
    version.usedMs = clock.monotonicMs();
    this.#versions.delete(runnable.key);
    this.#versions.set(runnable.key, version);
    const [oldest] = this.#versions.values();
    if (oldest !== undefined && this.#versions.size > VERSIONS_MAX) this.#forget(oldest);
    return version;
  }

  #forget(version: Version): void {
    this.#versions.delete(version.runnable.key);
    if (version.due !== undefined) this.#options.wheel.clear(version.due);
    this.#discard(version);
  }

  #discard(version: Version): void {
    const { stem } = version;
    if (stem === undefined) return;
    version.stem = undefined;
    stem.discard();
    this.#ending.add(stem.gone);
    void stem.gone.then(() => this.#ending.delete(stem.gone));
  }

  /** Replaces what was planned for it. */
  #loadIn(version: Version, ms: number): void {
    const { wheel } = this.#options;
    if (version.due !== undefined) wheel.clear(version.due);
    version.due = wheel.set(ms, () => {
      version.due = undefined;
      this.#load(version);
    });
  }

  #load(version: Version): void {
    const { clock, stems } = this.#options;
    const nowMs = clock.monotonicMs();
    const isWanted = !version.hasFailed && isWorthLoading({ nowMs, ...version });
    if (this.#isClosed || version.stem !== undefined || !isWanted || !this.#isAmongLast(version)) return;
    const ready = this.#options.prepared(version.runnable);
    const stem = this.#isLoading ? undefined : stems.spare(ready);
    if (stem === undefined) {
      this.#loadIn(version, RETRY_MS);
      return;
    }
    version.stem = stem;
    version.isLoading = true;
    this.#isLoading = true;
    void this.#loadInto(version, ready, stem).finally(() => {
      version.isLoading = false;
      this.#isLoading = false;
    });
  }

  /** Whoever is not would have to go as soon as it is loaded: thousands of deployments in a row load nearly nothing. */
  #isAmongLast(version: Version): boolean {
    return [...this.#versions.values()].slice(-this.#options.max).includes(version);
  }

  async #loadInto(version: Version, ready: RunnableVersion, stem: Stem): Promise<void> {
    const { interpreters, runDirectory, shimsDirectory } = this.#options.places;
    const files = instanceFiles(runDirectory, shimsDirectory, stem.id);
    try {
      const interpreter = requireInterpreter(interpreters, ready.runtime);
      const spec = sandboxSpec(ready, stem.id, interpreter, files, 'bubblewrap');
      const what = specialization(ready, stem.id, interpreter, files, 'bubblewrap');
      await stem.load(changeFor(spec), what, LOAD_MS_MAX);
    } catch (error) {
      if (version.stem !== stem) return;
      version.hasFailed = true;
      const { functionName } = version.runnable;
      this.#options.log('warning', `the code of function '${functionName}' could not be loaded ahead`, error);
      this.#discard(version);
      this.#options.onFailed(version.runnable);
      return;
    }
    void stem.gone.then(() => {
      if (version.stem === stem) version.stem = undefined;
    });
    this.#makeRoom();
    this.#expire(version);
  }

  /** Those used longest ago go. */
  #makeRoom(): void {
    const { max, memoryBytesMax } = this.#options;
    const loaded = [...this.#versions.values()].filter(({ stem }) => stem !== undefined);
    const bytes = loaded.map(({ stem }) => stem?.memoryBytesPeak() ?? 0);
    let total = bytes.reduce((sum, each) => sum + each, 0);
    for (const [index, version] of loaded.entries()) {
      if (loaded.length - index <= max && total <= memoryBytesMax) return;
      total -= bytes[index] ?? 0;
      this.#discard(version);
    }
  }

  #expire(version: Version): void {
    const { wheel, clock } = this.#options;
    if (version.stem === undefined || version.due !== undefined) return;
    const leftMs = version.usedMs + LOADED_IDLE_MS_MAX - clock.monotonicMs();
    version.due = wheel.set(Math.max(leftMs, 0) + 1, () => {
      version.due = undefined;
      if (clock.monotonicMs() - version.usedMs >= LOADED_IDLE_MS_MAX) this.#forget(version);
      else this.#expire(version);
    });
  }
}
