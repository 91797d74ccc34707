import type { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../base/clock.ts';
import type { Collected } from '../code/code-store.ts';
import type { CodeRef, FunctionVersion } from '../model/function.ts';
import type { RunnableVersion } from '../model/runnable.ts';
import type { EventTrigger } from '../model/trigger.ts';
import type { Records } from '../store/records.ts';
import { Aliases } from './aliases.ts';
import type { AccountPlace } from './arn.ts';
import { requireFunction, type CatalogContext } from './catalog-context.ts';
import type { CodePackages } from './code-intake.ts';
import type { CatalogImages } from './container-image.ts';
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
  /** Without it there are no functions in images. */
  readonly images?: CatalogImages;
  readonly clock: Clock;
  readonly place: AccountPlace;
  /** Told of a function after one of its routes, or a setting of its scaling, has changed. */
  readonly onChanged?: (functionName: string) => void;
  /** Asked before an event trigger is stored; throws INVALID_ARGUMENT where its source could not work with it. */
  readonly checkTrigger?: (trigger: EventTrigger) => void;
  /** Told of a stored version that cannot be routed: its code cannot be unpacked, or the store not be read. */
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
  readonly #packages: CodePackages;
  readonly #keeper: RouteKeeper;
  readonly #live: LiveSessions;

  private constructor(options: CatalogOptions) {
    const { records, clock, place } = options;
    this.place = place;
    this.#records = records;
    this.#unpacked = new UnpackedCode(options.packages);
    this.#packages = options.packages;
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
      onChanged: (functionName) => options.onChanged?.(functionName),
      onBrokenCode: options.onBrokenCode,
    });
    const context: CatalogContext = {
      records,
      routes: this.routes,
      keeper: this.#keeper,
      packages: options.packages,
      unpacked: this.#unpacked,
      images: options.images,
      clock,
      place,
      checkTrigger: (trigger) => options.checkTrigger?.(trigger),
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
   * Deletes code that no record names and none of the versions uses that instances still run. The store spares what
   * came in lately, so this may run at any time.
   */
  async collectCode(running: Iterable<RunnableVersion>): Promise<Collected> {
    this.layers.forgetUnused();
    const codes: CodeRef[] = LAYERS.list(this.#records).map(({ value }) => value.layer.code);
    const layerSets: (readonly CodeRef[])[] = [];
    for (const version of this.#versions()) {
      codes.push(version.code);
      layerSets.push(this.#layersOf(version));
    }
    for (const runnable of running) {
      const source = this.#keeper.sourceOf(runnable);
      if (source === undefined) continue;
      codes.push(source.code);
      layerSets.push(source.layers);
    }
    this.#unpacked.retain(new Set([...codes, ...layerSets.flat()].map((code) => code.zipDigest)));
    return await this.#packages.collect({ codes, layerSets });
  }

  /** The images of all versions on record, with how each is to be had. */
  images(): FunctionVersion[] {
    return this.#versions().filter(({ image }) => image !== undefined);
  }

  close(): Promise<void> {
    return this.#keeper.close();
  }

  #versions(): FunctionVersion[] {
    return [
      ...FUNCTIONS.list(this.#records).map(({ value }) => value.latest),
      ...VERSIONS.list(this.#records).map(({ value }) => value),
    ];
  }

  #layersOf(version: FunctionVersion): readonly CodeRef[] {
    return requireLayerCode(this.#records, version.config.layers, version.config.layers);
  }
}
