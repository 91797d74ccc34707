import type { Alias, FunctionRecord, FunctionVersion } from '../model/function.ts';
import type { Trigger } from '../model/trigger.ts';
import type { Records, StoredRecord } from '../store/records.ts';
import type { AsyncConfig, ConcurrencyConfig, ProvisionConfig, ScalingConfig } from './settings.ts';
import type { StoredLayer } from './stored-layer.ts';

export interface TypedRecord<T> {
  readonly key: string;
  readonly value: T;
  readonly revision: number;
}

/**
 * One kind of record that the catalog keeps: its keys are `<prefix>/<name>/<name>`. Names hold no `/`, so a key is
 * unambiguous and everything that belongs to one function can be listed by prefix.
 */
export class RecordKind<T> {
  readonly prefix: string;

  constructor(name: string) {
    this.prefix = `${name}/`;
  }

  key(...names: readonly string[]): string {
    return this.prefix + names.join('/');
  }

  holds(key: string): boolean {
    return key.startsWith(this.prefix);
  }

  /** Names come from clients as they are: one that could not be part of a key is the name of nothing. */
  get(records: Records, ...names: readonly string[]): TypedRecord<T> | undefined {
    if (!names.every((name) => name.isWellFormed() && !name.includes('\0'))) return undefined;
    const record = records.get(this.key(...names));
    return record === undefined ? undefined : this.typed(record);
  }

  /** All whose key goes on with `within` behind the kind's prefix, sorted by key. */
  list(records: Records, within = ''): readonly TypedRecord<T>[] {
    return records.list(this.prefix + within).map((record) => this.typed(record));
  }

  /** The catalog alone writes below its prefixes and its types say what: what is read is what was written. */
  typed(record: StoredRecord): TypedRecord<T> {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    return record as TypedRecord<T>;
  }
}

/** By function name. */
export const FUNCTIONS = new RecordKind<FunctionRecord>('function');
/** By function name and version number. */
export const VERSIONS = new RecordKind<FunctionVersion>('version');
/** By function name and alias name. */
export const ALIASES = new RecordKind<Alias>('alias');
/** By function name and trigger name. */
export const TRIGGERS = new RecordKind<Trigger>('trigger');
/** By function name. */
export const CONCURRENCY = new RecordKind<ConcurrencyConfig>('concurrency');
/** By function name and qualifier. */
export const ASYNC_CONFIGS = new RecordKind<AsyncConfig>('async-config');
/** By function name and qualifier. */
export const PROVISION_CONFIGS = new RecordKind<ProvisionConfig>('provision-config');
/** By function name and qualifier. */
export const SCALING_CONFIGS = new RecordKind<ScalingConfig>('scaling-config');
/** By layer name and version number. */
export const LAYERS = new RecordKind<StoredLayer>('layer');
/** The last number that was given to a version of a layer, by layer name. */
export const LAYER_COUNTERS = new RecordKind<number>('layer-counter');
