import type { Clock } from '../../base/clock.ts';
import type { Deadline } from '../../base/deadline-wheel.ts';
import type { PlatformLog } from '../../base/platform-log.ts';
import { newInstanceId } from '../../base/ids.ts';
import type { RunnableVersion } from '../../model/runnable.ts';
import { Stem, type StemDeps } from './stem.ts';
import { stemKindOf, type StemKind, type StemPlaces } from './stem-kind.ts';
import { BURST_MS, stemRetryMs, stemsToBoot, stemsWanted } from './stem-policy.ts';

/** At once, so that refilling leaves the machine to what runs. */
const BOOTING_MAX = 2;
/** New stems wait until no instance has been started for so long, and not longer than the next: starts go first. */
const QUIET_MS = 20;
const QUIET_MS_MAX = 2000;

export interface StemPoolDeps extends StemDeps {
  readonly clock: Clock;
  readonly places: StemPlaces;
  /** Kept ready of each kind in use; 0: there are no stems. */
  readonly base: number;
  /** Of all kinds together. */
  readonly totalMax: number;
  readonly log: PlatformLog;
}

export interface StemStatus {
  /** Kept ready of each kind; 0: switched off. */
  readonly perKind: number;
  /** That deployed functions could use. */
  readonly kinds: number;
  readonly waiting: number;
  /** Why there are none on this machine. */
  readonly unavailable?: string;
}

/** A stem, or why there is none. */
export type StemOffer = { readonly stem: Stem } | { readonly reason: string };

interface KindPool {
  readonly kind: StemKind;
  readonly stems: Set<Stem>;
  /** Functions that would take one. */
  functions: number;
  lastUsedMs: number;
  /** When starts found none. */
  misses: number[];
  failures: number;
  retryAtMs: number;
}

/**
 * Stems of every kind that deployed functions could use, made ahead of use and replaced when they are taken. Where there is
 * not room for all, the kinds used last have theirs.
 */
export class StemPool {
  readonly #deps: StemPoolDeps;
  readonly #pools = new Map<string, KindPool>();
  /** Of versions that start again and again. */
  readonly #kinds = new WeakMap<RunnableVersion, StemKind | string>();
  /** The kind of each function that is deployed. */
  readonly #functions = new Map<string, KindPool>();
  readonly #living = new Set<Stem>();
  #due: Deadline | undefined;
  #burstEnd: Deadline | undefined;
  #dueSinceMs = 0;
  #isClosed = false;

  constructor(deps: StemPoolDeps) {
    this.#deps = deps;
  }

  /** What this function's next instance will run; undefined: it is gone. */
  expect(functionName: string, runnable: RunnableVersion | undefined): void {
    const pool = runnable === undefined ? undefined : this.#poolOf(runnable);
    const known = this.#functions.get(functionName);
    const next = typeof pool === 'string' ? undefined : pool;
    if (known === next) return;
    if (known !== undefined) known.functions -= 1;
    if (next === undefined) {
      this.#functions.delete(functionName);
    } else {
      next.functions += 1;
      next.lastUsedMs = this.#deps.clock.monotonicMs();
      this.#functions.set(functionName, next);
    }
    this.#refillSoon();
  }

  /** A waiting one, or one that will wait sooner than a new sandbox could. It is the caller's from now on. */
  take(runnable: RunnableVersion): StemOffer {
    if (this.#deps.base === 0 || this.#isClosed) return { reason: 'stems are switched off' };
    // What is archived of it takes longer to load than a virtual machine to boot.
    if (runnable.family === 'java' && runnable.compileCacheDirectory !== undefined)
      return { reason: 'the archive of its classes is quicker' };
    const pool = this.#poolOf(runnable);
    if (typeof pool === 'string') return { reason: pool };
    const nowMs = this.#deps.clock.monotonicMs();
    pool.lastUsedMs = nowMs;
    const usable = [...pool.stems].filter(({ isBroken }) => !isBroken);
    const stem =
      usable.find(({ isWaiting }) => isWaiting) ??
      usable.find(({ isPreparing }) => !isPreparing) ??
      (pool.kind.isForked && pool.retryAtMs <= nowMs ? this.#boot(pool, runnable.memoryMb) : undefined);
    this.#refillSoon();
    if (stem === undefined) {
      pool.misses.push(nowMs);
      return { reason: 'no stem was ready' };
    }
    pool.stems.delete(stem);
    this.#living.delete(stem);
    return { stem };
  }

  /** One that waits, for work that nobody waits for: where there is none, that asks for no more of them. */
  spare(runnable: RunnableVersion): Stem | undefined {
    if (this.#deps.base === 0 || this.#isClosed) return undefined;
    const pool = this.#poolOf(runnable);
    if (typeof pool === 'string') return undefined;
    const stem = [...pool.stems].find(({ isWaiting }) => isWaiting);
    if (stem === undefined) return undefined;
    pool.stems.delete(stem);
    this.#living.delete(stem);
    this.#refillSoon();
    return stem;
  }

  /** Whether this version could start from a stem at all. */
  hasKindFor(runnable: RunnableVersion): boolean {
    return this.#deps.base > 0 && typeof stemKindOf(runnable, this.#deps.places) !== 'string';
  }

  /** For whoever looks. */
  status(): StemStatus {
    const { base, places } = this.#deps;
    const waiting = [...this.#living].filter(({ isWaiting }) => isWaiting).length;
    const kinds = [...this.#pools.values()].filter(isInUse).length;
    const { cannotSpecialize } = places;
    return {
      perKind: base,
      kinds,
      waiting,
      ...(cannotSpecialize === undefined ? {} : { unavailable: cannotSpecialize }),
    };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const deadline of [this.#due, this.#burstEnd]) {
      if (deadline !== undefined) this.#deps.wheel.clear(deadline);
    }
    const stems = [...this.#living];
    for (const stem of stems) stem.discard();
    await Promise.all(stems.map(({ gone }) => gone));
  }

  #kindOf(runnable: RunnableVersion): StemKind | string {
    const known = this.#kinds.get(runnable);
    if (known !== undefined) return known;
    const kind = stemKindOf(runnable, this.#deps.places);
    this.#kinds.set(runnable, kind);
    return kind;
  }

  #poolOf(runnable: RunnableVersion): KindPool | string {
    const kind = this.#kindOf(runnable);
    if (typeof kind === 'string') return kind;
    const known = this.#pools.get(kind.key);
    if (known !== undefined) return known;
    const lastUsedMs = this.#deps.clock.monotonicMs();
    const made = {
      kind,
      stems: new Set<Stem>(),
      functions: 0,
      lastUsedMs,
      misses: [],
      failures: 0,
      retryAtMs: 0,
    };
    this.#pools.set(kind.key, made);
    return made;
  }

  #refillSoon(): void {
    if (this.#deps.base === 0 || this.#isClosed) return;
    const { clock, wheel } = this.#deps;
    const nowMs = clock.monotonicMs();
    if (this.#due === undefined) this.#dueSinceMs = nowMs;
    else if (nowMs - this.#dueSinceMs < QUIET_MS_MAX) wheel.clear(this.#due);
    else return;
    this.#due = wheel.set(QUIET_MS, () => {
      this.#due = undefined;
      this.#refill();
    });
  }

  #refill(): void {
    if (this.#isClosed) return;
    const nowMs = this.#deps.clock.monotonicMs();
    const byUse = [...this.#pools.values()].toSorted((one, other) => other.lastUsedMs - one.lastUsedMs);
    for (const pool of byUse) {
      pool.misses = pool.misses.filter((atMs) => nowMs - atMs < BURST_MS);
      const wanted = isInUse(pool) ? stemsWanted(this.#deps.base, pool.misses.length) : 0;
      for (const stem of [...pool.stems].slice(wanted)) stem.discard();
      if (pool.retryAtMs > nowMs) continue;
      this.#makeRoom(pool, wanted);
      for (let missing = this.#toBoot(pool, wanted); missing > 0; missing -= 1) this.#boot(pool);
      if (!isInUse(pool) && pool.stems.size === 0) this.#pools.delete(pool.kind.key);
    }
    // The burst will be over then, and what was kept for it can go.
    if (this.#burstEnd !== undefined || byUse.every(({ misses }) => misses.length === 0)) return;
    this.#burstEnd = this.#deps.wheel.set(BURST_MS, () => {
      this.#burstEnd = undefined;
      this.#refill();
    });
  }

  /** Of the kinds that were used before this one, the one longest ago gives up a stem. */
  #makeRoom(pool: KindPool, wanted: number): void {
    if (pool.stems.size >= wanted || this.#living.size < this.#deps.totalMax) return;
    const older = [...this.#pools.values()]
      .filter(({ stems, lastUsedMs }) => stems.size > 0 && lastUsedMs < pool.lastUsedMs)
      .toSorted((one, other) => one.lastUsedMs - other.lastUsedMs)[0];
    for (const stem of older?.stems ?? []) {
      stem.discard();
      return;
    }
  }

  #toBoot(pool: KindPool, wanted: number): number {
    const booting = [...this.#living].filter(({ isWaiting }) => !isWaiting).length;
    return stemsToBoot({
      wanted,
      stems: pool.stems.size,
      booting,
      total: this.#living.size,
      bootingMax: BOOTING_MAX,
      totalMax: this.#deps.totalMax,
    });
  }

  #boot(pool: KindPool, cpuShare?: number): Stem {
    const stem = new Stem(this.#deps, pool.kind, newInstanceId(this.#deps.clock.now()), cpuShare);
    pool.stems.add(stem);
    this.#living.add(stem);
    stem.booted.then(
      () => {
        pool.failures = 0;
        this.#refillSoon();
      },
      (error: unknown) => {
        if (this.#isClosed || !pool.stems.has(stem)) return;
        pool.failures += 1;
        pool.retryAtMs = this.#deps.clock.monotonicMs() + stemRetryMs(pool.failures);
        if (pool.failures === 1)
          this.#deps.log('warning', `a stem of ${pool.kind.interpreter.path} did not come up`, error);
        this.#deps.wheel.set(stemRetryMs(pool.failures), () => this.#refillSoon());
      },
    );
    void stem.gone.then(() => {
      pool.stems.delete(stem);
      // A stem that was taken is counted no more, and its end is its instance's.
      if (this.#living.delete(stem)) this.#refillSoon();
    });
    return stem;
  }
}

function isInUse({ functions }: KindPool): boolean {
  return functions > 0;
}
