import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { CodeRef, FunctionVersion } from '../model/function.ts';
import type { RunnableVersion } from '../model/runnable.ts';
import type { Records, StoredRecord } from '../store/records.ts';
import type { AccountPlace } from './arn.ts';
import type { RoutingTable } from './routing-table.ts';
import { runnableVersion } from './runnable-version.ts';
import { requireLayerCode } from './stored-layer.ts';
import type { UnpackedCode } from './unpacked-code.ts';
import {
  ALIASES,
  CONCURRENCY,
  FUNCTIONS,
  PROVISION_CONFIGS,
  SCALING_CONFIGS,
  TRIGGERS,
  VERSIONS,
} from './record-kinds.ts';

/** Code packages that are looked for, or unpacked, at the same time when the platform starts. */
const PREPARATIONS_MAX = 32;
const ROUTED_PREFIXES = [FUNCTIONS, VERSIONS, ALIASES, TRIGGERS].map((kind) => kind.prefix);
/** Settings that no route is made of, but that change how many instances there are. */
const SCALING_PREFIXES = [CONCURRENCY, PROVISION_CONFIGS, SCALING_CONFIGS].map((kind) => kind.prefix);

/** The packages that a version runs from. */
export interface CodeSource {
  readonly code: CodeRef;
  readonly layers: readonly CodeRef[];
}

export interface RouteKeeperOptions {
  readonly records: Records;
  readonly routes: RoutingTable;
  readonly code: UnpackedCode;
  readonly place: AccountPlace;
  /** Told of a function whose LATEST was routed anew or removed. */
  readonly onLatest: (functionName: string, latest: FunctionVersion | undefined) => void;
  /** Told of a function after one of its routes, or a setting of its scaling, has changed. */
  readonly onChanged: (functionName: string) => void;
  /** Told of a version that cannot be routed: its code cannot be unpacked, or the store not be read. */
  readonly onBrokenCode: (error: ThawError) => void;
}

/**
 * Keeps the routing table as the records are. Whoever writes a record calls `refresh` at once, so the next request
 * sees it; changes by others arrive through the watch. Both read the record as it is now and never what the news
 * said, so it does not matter in which order they come, or that an own write is heard of twice.
 */
export class RouteKeeper {
  readonly #options: RouteKeeperOptions;
  /** Revision of the record that each route was made from. */
  readonly #routed = new Map<string, number>();
  readonly #preparing = new Map<string, Promise<void>>();
  /** What each version's directories were made from, for as long as anybody runs it. */
  readonly #sources = new WeakMap<RunnableVersion, CodeSource>();
  readonly #unwatch: (() => void)[] = [];
  #isClosed = false;

  constructor(options: RouteKeeperOptions) {
    this.#options = options;
  }

  /** Routes everything that is stored; from then on follows changes. */
  async open(): Promise<void> {
    const { records } = this.#options;
    for (const prefix of [...ROUTED_PREFIXES, ...SCALING_PREFIXES]) {
      this.#unwatch.push(
        records.watch(prefix, (change) =>
          this.#follow(change.kind === 'put' ? change.record.key : change.key),
        ),
      );
    }
    const stored = ROUTED_PREFIXES.flatMap((prefix) => records.list(prefix));
    const waiting = stored.values();
    const work = async (): Promise<void> => {
      for (const record of waiting) {
        const version = versionIn(record);
        if (version !== undefined) await this.#prepare(version);
        // Prepared or not, it is routed: what cannot run answers so. Read anew, since it may have changed meanwhile.
        this.refresh(record.key);
      }
    };
    await Promise.all(Array.from({ length: PREPARATIONS_MAX }, work));
  }

  /** Makes the routes of one key as its record is now; nothing for kinds of record that are not routed. */
  refresh(key: string): void {
    if (this.#isClosed) return;
    if (ROUTED_PREFIXES.some((prefix) => key.startsWith(prefix))) {
      const record = this.#options.records.get(key);
      if (record === undefined) this.#unroute(key);
      else if (this.#routed.get(key) !== record.revision) this.#route(record);
      else return;
    } else if (!SCALING_PREFIXES.some((prefix) => key.startsWith(prefix))) return;
    this.#options.onChanged(key.split('/')[1] ?? '');
  }

  /** Undefined for a live session's version, whose code is the developer's. */
  sourceOf(runnable: RunnableVersion): CodeSource | undefined {
    return this.#sources.get(runnable);
  }

  /** Stops following changes and waits for what is under way. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const unwatch of this.#unwatch) unwatch();
    await Promise.all(this.#preparing.values());
  }

  /** Nobody waits for news to be followed: a store that cannot be read then is reported, and the route stays as it is. */
  #follow(key: string): void {
    try {
      this.refresh(key);
    } catch (error) {
      this.#options.onBrokenCode(ThawError.from(error, `could not route ${key}`));
    }
  }

  #route(record: StoredRecord): void {
    const { routes } = this.#options;
    if (ALIASES.holds(record.key)) routes.setAlias(ALIASES.typed(record).value);
    else if (TRIGGERS.holds(record.key)) routes.setTrigger(TRIGGERS.typed(record).value);
    else if (VERSIONS.holds(record.key)) {
      if (!this.#routeVersion(record, VERSIONS.typed(record).value)) return;
    } else {
      const stored = FUNCTIONS.typed(record).value;
      routes.setFunction(stored.latest.config.functionName, stored.disabledReason !== undefined);
      if (!this.#routeVersion(record, stored.latest)) return;
      this.#options.onLatest(stored.latest.config.functionName, stored.latest);
    }
    this.#routed.set(record.key, record.revision);
  }

  /** False while the code has to be unpacked first; the record is then routed again. */
  #routeVersion(record: StoredRecord, version: FunctionVersion): boolean {
    const { records, routes, code, place } = this.#options;
    const { functionName, layers } = version.config;
    try {
      const source = { code: version.code, layers: requireLayerCode(records, layers, layers) };
      const directories = code.get(source.code, source.layers);
      if (directories !== undefined) {
        const runnable = runnableVersion(version, directories, place);
        this.#sources.set(runnable, source);
        routes.setVersion(functionName, version.versionId, runnable);
        return true;
      }
    } catch (error) {
      this.#options.onBrokenCode(ThawError.from(error, `could not route ${record.key}`));
      routes.setVersion(functionName, version.versionId, 'STORE_FAILED');
      return true;
    }
    // What runs now goes on until its successor can.
    routes.announceVersion(functionName, version.versionId);
    if (!this.#preparing.has(record.key)) {
      const preparation = this.#prepare(version).then((isPrepared) => {
        this.#preparing.delete(record.key);
        if (isPrepared) this.refresh(record.key);
      });
      this.#preparing.set(record.key, preparation);
    }
    return false;
  }

  async #prepare(version: FunctionVersion): Promise<boolean> {
    const { records, code } = this.#options;
    const { functionName, layers } = version.config;
    try {
      await code.prepare(version.code, requireLayerCode(records, layers, layers));
      return true;
    } catch (error) {
      this.#options.onBrokenCode(
        ThawError.from(error, `could not unpack the code of function '${functionName}' ${version.versionId}`),
      );
      return false;
    }
  }

  #unroute(key: string): void {
    const { routes, onLatest } = this.#options;
    this.#routed.delete(key);
    const [kind, functionName = '', name = ''] = key.split('/');
    if (kind === 'alias') routes.removeAlias(functionName, name);
    else if (kind === 'trigger') routes.removeTrigger(functionName, name);
    else if (kind === 'version') routes.removeVersion(functionName, name);
    else {
      routes.removeFunction(functionName);
      onLatest(functionName, undefined);
    }
  }
}

function versionIn(record: StoredRecord): FunctionVersion | undefined {
  if (VERSIONS.holds(record.key)) return VERSIONS.typed(record).value;
  if (FUNCTIONS.holds(record.key)) return FUNCTIONS.typed(record).value.latest;
  return undefined;
}
