import type { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../base/clock.ts';
import type { CodeRef, FunctionVersion } from '../model/function.ts';
import type { Records } from '../store/records.ts';
import { Aliases } from './aliases.ts';
import type { AccountPlace } from './arn.ts';
import { requireFunction, type CatalogContext } from './catalog-context.ts';
import { CodeGate } from './code-gate.ts';
import type { CodePackages } from './code-packages.ts';
import { Functions } from './functions.ts';
import { Layers } from './layers.ts';
import { LiveSessions, type LiveSession } from './live-sessions.ts';
import { RouteKeeper } from './route-keeper.ts';
import { RoutingTable } from './routing-table.ts';
import { Settings } from './settings.ts';
import { requireLayerCode } from './stored-layer.ts';
import { Triggers } from './triggers.ts';
import { UnpackedCode } from './unpacked-code.ts';
import { Versions } from './versions.ts';
import { FUNCTIONS, LAYERS, VERSIONS } from './record-kinds.ts';

export interface CatalogOptions {
  readonly records: Records;
  readonly packages: CodePackages;
  readonly clock: Clock;
  readonly place: AccountPlace;
  /** Told of a stored version that cannot be run because its code cannot be unpacked. */
  readonly onBrokenCode: (error: ThawError) => void;
}

/**
 * The control plane's one authority on what exists: functions with their versions, aliases, triggers and settings,
 * and layers. Every change is one conditional write, so of two that exclude each other one fails, and `routes` shows
 * it before the call returns.
 */
export class Catalog {
  readonly routes = new RoutingTable();
  readonly functions: Functions;
  readonly versions: Versions;
  readonly aliases: Aliases;
  readonly triggers: Triggers;
  readonly layers: Layers;
  readonly settings: Settings;
  readonly place: AccountPlace;
  readonly #records: Records;
  readonly #unpacked: UnpackedCode;
  readonly #gate: CodeGate;
  readonly #keeper: RouteKeeper;
  readonly #live: LiveSessions;

  private constructor(options: CatalogOptions) {
    const { records, clock, place } = options;
    this.place = place;
    this.#records = records;
    this.#unpacked = new UnpackedCode(options.packages);
    this.#gate = new CodeGate(options.packages, this.#unpacked);
    this.#live = new LiveSessions({
      routes: this.routes,
      place,
      layerDirectoryOf: (version) =>
        this.#unpacked.get(version.code, this.#layersOf(version))?.layerDirectory,
    });
    this.#keeper = new RouteKeeper({
      records,
      routes: this.routes,
      code: this.#unpacked,
      place,
      onLatest: (functionName, latest) => this.#live.onLatest(functionName, latest),
      onBrokenCode: options.onBrokenCode,
    });
    const context: CatalogContext = {
      records,
      routes: this.routes,
      keeper: this.#keeper,
      code: this.#gate,
      clock,
      place,
    };
    this.functions = new Functions(context);
    this.versions = new Versions(context);
    this.aliases = new Aliases(context);
    this.triggers = new Triggers(context);
    this.layers = new Layers(context);
    this.settings = new Settings(context);
  }

  /** When it settles, everything stored is routable; code is unpacked only where it is missing. */
  static async open(options: CatalogOptions): Promise<Catalog> {
    const catalog = new Catalog(options);
    await catalog.#keeper.open();
    return catalog;
  }

  /** From now on LATEST of the function runs from a directory of this host. Throws INVALID_ARGUMENT. */
  startLive(functionName: string, directory: string): Promise<LiveSession> {
    return this.#live.start(
      functionName,
      directory,
      () => requireFunction(this.#records, functionName).record.latest,
    );
  }

  /**
   * Lets `collect` delete code that no record names, and says whether it did: it does not while code is coming in.
   * `alsoUsed` is code that instances still run.
   */
  collectCode(
    collect: (live: ReadonlyMap<string, CodeRef>) => Promise<void>,
    alsoUsed: readonly CodeRef[] = [],
  ): Promise<boolean> {
    return this.#gate.collect(async () => {
      this.layers.forgetUnused();
      const live = new Map(alsoUsed.map((code) => [code.zipDigest, code]));
      for (const { value } of FUNCTIONS.list(this.#records)) {
        const { code } = value.latest;
        live.set(code.zipDigest, code);
      }
      for (const { value } of VERSIONS.list(this.#records)) {
        live.set(value.code.zipDigest, value.code);
      }
      for (const { value } of LAYERS.list(this.#records)) {
        const { code } = value.layer;
        live.set(code.zipDigest, code);
      }
      this.#unpacked.retain(new Set(live.keys()));
      await collect(live);
    });
  }

  close(): Promise<void> {
    return this.#keeper.close();
  }

  #layersOf(version: FunctionVersion): readonly CodeRef[] {
    return requireLayerCode(this.#records, version.config.layers, version.config.layers);
  }
}
