import type { AsyncSettings } from '@thaw/protocol/fc/async-config.ts';
import type { ConcurrencySettings } from '@thaw/protocol/fc/concurrency.ts';
import type { ProvisionInput, ScalingInput } from '@thaw/protocol/fc/provision.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { parseDestination } from '../model/destination.ts';
import { LATEST } from '../model/function.ts';
import { requireFunction, timeStamp, write, type CatalogContext } from './catalog-context.ts';
import { pageOf, type Page, type PageRequest } from './page.ts';
import { requireSchedules } from './provision-schedule.ts';
import { requireVersion } from './versions.ts';
import {
  ASYNC_CONFIGS,
  CONCURRENCY,
  PROVISION_CONFIGS,
  SCALING_CONFIGS,
  type RecordKind,
} from './record-kinds.ts';

export interface ConcurrencyConfig extends ConcurrencySettings {
  readonly functionName: string;
}

export interface AsyncConfig {
  readonly functionName: string;
  readonly qualifier: string;
  readonly settings: AsyncSettings;
  readonly createdTime: string;
  readonly lastModifiedTime: string;
}

interface OfQualifier {
  readonly functionName: string;
  readonly qualifier: string;
}

export interface ProvisionConfig extends OfQualifier {
  readonly settings: Omit<ProvisionInput, 'target' | 'defaultTarget'> & { readonly defaultTarget: number };
}

export interface ScalingConfig extends OfQualifier {
  readonly settings: ScalingInput;
}

/** Settings that stand beside a function: kept, given back, and gone with it. */
export class Settings {
  readonly #context: CatalogContext;

  constructor(context: CatalogContext) {
    this.#context = context;
  }

  putConcurrency(functionName: string, settings: ConcurrencySettings): ConcurrencyConfig {
    requireFunction(this.#context.records, functionName);
    const config: ConcurrencyConfig = { functionName, ...settings };
    write(this.#context, [{ kind: 'put', key: CONCURRENCY.key(functionName), value: config }]);
    return config;
  }

  requireConcurrency(functionName: string): ConcurrencyConfig {
    requireFunction(this.#context.records, functionName);
    const stored = CONCURRENCY.get(this.#context.records, functionName);
    if (stored === undefined) throw configNotFound('concurrency', functionName);
    return stored.value;
  }

  /** Deleting what is not set does nothing. */
  deleteConcurrency(functionName: string): void {
    requireFunction(this.#context.records, functionName);
    write(this.#context, [{ kind: 'delete', key: CONCURRENCY.key(functionName) }]);
  }

  listConcurrency(functionName: string | undefined, request: PageRequest): Page<ConcurrencyConfig> {
    const configs = CONCURRENCY.list(this.#context.records)
      .map((stored) => stored.value)
      .filter((config) => functionName === undefined || config.functionName === functionName);
    return pageOf(configs, (config) => config.functionName, request);
  }

  putAsyncConfig(functionName: string, qualifier: string | undefined, settings: AsyncSettings): AsyncConfig {
    const { records, clock } = this.#context;
    requireVersion(records, functionName, qualifier);
    requireDestinations(settings);
    const key = ASYNC_CONFIGS.key(functionName, qualifier ?? LATEST);
    const before = ASYNC_CONFIGS.get(records, functionName, qualifier ?? LATEST)?.value;
    const now = timeStamp(clock);
    const config: AsyncConfig = {
      functionName,
      qualifier: qualifier ?? LATEST,
      settings,
      createdTime: before?.createdTime ?? now,
      lastModifiedTime: now,
    };
    write(this.#context, [{ kind: 'put', key, value: config }]);
    return config;
  }

  requireAsyncConfig(functionName: string, qualifier: string | undefined): AsyncConfig {
    const { records } = this.#context;
    requireFunction(records, functionName);
    const stored = ASYNC_CONFIGS.get(records, functionName, qualifier ?? LATEST);
    if (stored === undefined) throw configNotFound('async', functionName);
    return stored.value;
  }

  /** Deleting what is not set does nothing. */
  deleteAsyncConfig(functionName: string, qualifier: string | undefined): void {
    requireFunction(this.#context.records, functionName);
    write(this.#context, [{ kind: 'delete', key: ASYNC_CONFIGS.key(functionName, qualifier ?? LATEST) }]);
  }

  listAsyncConfigs(functionName: string | undefined, request: PageRequest): Page<AsyncConfig> {
    const within = functionName === undefined ? '' : `${functionName}/`;
    const configs = ASYNC_CONFIGS.list(this.#context.records, within).map((stored) => stored.value);
    return pageOf(configs, (config) => ASYNC_CONFIGS.key(config.functionName, config.qualifier), request);
  }

  putProvision(functionName: string, qualifier: string | undefined, input: ProvisionInput): ProvisionConfig {
    const { target = 0, defaultTarget = target, ...rest } = input;
    requireSchedules('scheduledActions', input.scheduledActions ?? []);
    const settings = { ...rest, defaultTarget };
    return this.#put(PROVISION_CONFIGS, { functionName, qualifier: qualifier ?? LATEST, settings });
  }

  requireProvision(functionName: string, qualifier: string | undefined): ProvisionConfig {
    return this.#require(PROVISION_CONFIGS, 'provision', functionName, qualifier);
  }

  deleteProvision(functionName: string, qualifier: string | undefined): void {
    this.#delete(PROVISION_CONFIGS, functionName, qualifier);
  }

  listProvisions(functionName: string | undefined, request: PageRequest): Page<ProvisionConfig> {
    return this.#list(PROVISION_CONFIGS, functionName, request);
  }

  putScaling(functionName: string, qualifier: string | undefined, settings: ScalingInput): ScalingConfig {
    requireSchedules('scheduledPolicies', settings.scheduledPolicies ?? []);
    return this.#put(SCALING_CONFIGS, { functionName, qualifier: qualifier ?? LATEST, settings });
  }

  requireScaling(functionName: string, qualifier: string | undefined): ScalingConfig {
    return this.#require(SCALING_CONFIGS, 'scaling', functionName, qualifier);
  }

  deleteScaling(functionName: string, qualifier: string | undefined): void {
    this.#delete(SCALING_CONFIGS, functionName, qualifier);
  }

  listScalings(functionName: string | undefined, request: PageRequest): Page<ScalingConfig> {
    return this.#list(SCALING_CONFIGS, functionName, request);
  }

  #put<T extends OfQualifier>(kind: RecordKind<T>, config: T): T {
    const { functionName, qualifier } = config;
    requireVersion(this.#context.records, functionName, qualifier);
    write(this.#context, [{ kind: 'put', key: kind.key(functionName, qualifier), value: config }]);
    return config;
  }

  #require<T>(kind: RecordKind<T>, name: ConfigKind, functionName: string, qualifier: string | undefined): T {
    requireFunction(this.#context.records, functionName);
    const stored = kind.get(this.#context.records, functionName, qualifier ?? LATEST);
    if (stored === undefined) throw configNotFound(name, functionName);
    return stored.value;
  }

  /** Deleting what is not set does nothing. */
  #delete(kind: RecordKind<unknown>, functionName: string, qualifier: string | undefined): void {
    requireFunction(this.#context.records, functionName);
    write(this.#context, [{ kind: 'delete', key: kind.key(functionName, qualifier ?? LATEST) }]);
  }

  #list<T extends OfQualifier>(
    kind: RecordKind<T>,
    functionName: string | undefined,
    request: PageRequest,
  ): Page<T> {
    const within = functionName === undefined ? '' : `${functionName}/`;
    const configs = kind.list(this.#context.records, within).map((stored) => stored.value);
    return pageOf(configs, (config) => kind.key(config.functionName, config.qualifier), request);
  }
}

/** Throws INVALID_ARGUMENT for a destination in a form that nobody knows. */
function requireDestinations({ destinationConfig = {} }: AsyncSettings): void {
  for (const outcome of ['onSuccess', 'onFailure'] as const) {
    const text = destinationConfig[outcome]?.destination ?? '';
    if (text !== '') parseDestination(text, `destinationConfig.${outcome}.destination`);
  }
}

export type ConfigKind = 'concurrency' | 'async' | 'provision' | 'scaling';

/** `details.config` lets a door say it with its own code for this kind. */
export function configNotFound(kind: ConfigKind, functionName: string): ThawError {
  return new ThawError('CONFIG_NOT_FOUND', `function '${functionName}' has no ${kind} configuration`, {
    details: { config: kind, function: functionName },
  });
}
