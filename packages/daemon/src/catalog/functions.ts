import { isDeepStrictEqual } from 'node:util';
import { randomUUID } from 'node:crypto';
import type { CreateFunctionInput, UpdateFunctionInput } from '@thaw/protocol/fc/function.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { LATEST, type FunctionRecord, type Tag } from '../model/function.ts';
import {
  readFunction,
  requireFunction,
  timeStamp,
  write,
  writeNew,
  type CatalogContext,
} from './catalog-context.ts';
import type { NewCode } from './code-intake.ts';
import { CONTAINER_RUNTIME, resolveImage, takeCode } from './container-image.ts';
import { changedConfig, newConfig, runsEqually } from './function-config.ts';
import { byCodeUnits, decodeToken, encodeToken, firstBehind, type Page, type PageRequest } from './page.ts';
import { newRevision } from './revision.ts';
import { requireLayerCode } from './stored-layer.ts';
import {
  ALIASES,
  ASYNC_CONFIGS,
  CONCURRENCY,
  FUNCTIONS,
  PROVISION_CONFIGS,
  SCALING_CONFIGS,
  TRIGGERS,
  VERSIONS,
} from './record-kinds.ts';

/** How often an update starts over because another one came first. */
const UPDATE_ATTEMPTS_MAX = 8;

export interface FunctionFilter extends PageRequest {
  readonly prefix: string;
  /** Given a record, whether it belongs into the list. */
  readonly matches?: (record: FunctionRecord) => boolean;
}

/** Functions: the record with LATEST, its tags and whether it may be invoked. */
export class Functions {
  readonly #context: CatalogContext;

  constructor(context: CatalogContext) {
    this.#context = context;
  }

  /** Throws FUNCTION_EXISTS, UNSUPPORTED_RUNTIME, LAYER_NOT_FOUND, INVALID_ARGUMENT, INVALID_CODE_PACKAGE. */
  async create(input: CreateFunctionInput, newCode: NewCode | undefined): Promise<FunctionRecord> {
    const { records, packages, unpacked, images, clock } = this.#context;
    const { functionName } = input;
    const exists = `function '${functionName}' already exists`;
    const config = newConfig(input);
    if (readFunction(records, functionName) !== undefined) throw new ThawError('FUNCTION_EXISTS', exists);
    const layers = requireLayerCode(records, config.layers, []);
    const codeRef = await takeCode(packages, config.runtime, newCode);
    const image = await resolveImage(images, config);
    await unpacked.prepare(codeRef, layers);
    // A layer may have gone while the code was unpacked.
    requireLayerCode(records, config.layers, []);
    const now = timeStamp(clock);
    const record: FunctionRecord = {
      functionId: randomUUID(),
      latest: {
        config,
        code: codeRef,
        ...(image === undefined ? {} : { image }),
        versionId: LATEST,
        revision: newRevision(),
        description: config.description,
        createdTime: now,
        lastModifiedTime: now,
      },
      tags: input.tags ?? [],
      createdTime: now,
      lastVersionNumber: 0,
    };
    const put = {
      kind: 'put',
      key: FUNCTIONS.key(functionName),
      value: record,
      expectedRevision: 0,
    } as const;
    writeNew(this.#context, [put], 'FUNCTION_EXISTS', exists);
    this.#prepareImage(record);
    return record;
  }

  /** Changes what is given. Instances of the old code or configuration serve no request that comes later. */
  async update(
    functionName: string,
    input: UpdateFunctionInput,
    newCode: NewCode | undefined,
  ): Promise<FunctionRecord> {
    const { records, packages, unpacked, images, clock } = this.#context;
    const wanted = changedConfig(requireFunction(records, functionName).record.latest.config, input);
    const hadImage = requireFunction(records, functionName).record.latest.image !== undefined;
    const changesKind = hadImage !== (wanted.runtime === CONTAINER_RUNTIME);
    const addedCode =
      newCode === undefined && !changesKind ? undefined : await takeCode(packages, wanted.runtime, newCode);
    // The name is asked again whenever it is given: that is how a tag's new meaning is deployed.
    const addedImage =
      input.customContainerConfig === undefined && !changesKind
        ? undefined
        : await resolveImage(images, wanted);
    for (let attempt = 0; attempt < UPDATE_ATTEMPTS_MAX; attempt += 1) {
      const before = requireFunction(records, functionName);
      const { latest } = before.record;
      const config = changedConfig(latest.config, input);
      const codeRef = addedCode ?? latest.code;
      const image = config.runtime === CONTAINER_RUNTIME ? (addedImage ?? latest.image) : undefined;
      await unpacked.prepare(codeRef, requireLayerCode(records, config.layers, latest.config.layers));
      if (requireFunction(records, functionName).storeRevision !== before.storeRevision) continue;
      requireLayerCode(records, config.layers, latest.config.layers);
      const isUnchanged =
        codeRef.zipDigest === latest.code.zipDigest &&
        image?.image.digest === latest.image?.image.digest &&
        runsEqually(config, latest.config);
      const { image: _before, ...unimaged } = latest;
      const record: FunctionRecord = {
        ...before.record,
        latest: {
          ...unimaged,
          config,
          code: codeRef,
          ...(image === undefined ? {} : { image }),
          revision: isUnchanged ? latest.revision : newRevision(),
          description: config.description,
          lastModifiedTime: timeStamp(clock),
        },
      };
      this.#replace(record, before.storeRevision);
      this.#prepareImage(record);
      return record;
    }
    throw new ThawError(
      'CONFLICT',
      `function '${functionName}' is being changed by too many requests at once`,
    );
  }

  /** Deletes the function and everything that belongs to it: versions, aliases, triggers, settings. */
  delete(functionName: string): void {
    const { records } = this.#context;
    const { storeRevision } = requireFunction(records, functionName);
    const kinds = [VERSIONS, ALIASES, TRIGGERS, ASYNC_CONFIGS, PROVISION_CONFIGS, SCALING_CONFIGS];
    const owned = kinds.flatMap((kind) =>
      records.list(kind.key(functionName, '')).map((record) => record.key),
    );
    write(this.#context, [
      { kind: 'delete', key: FUNCTIONS.key(functionName), expectedRevision: storeRevision },
      { kind: 'delete', key: CONCURRENCY.key(functionName) },
      ...owned.map((key) => ({ kind: 'delete', key }) as const),
    ]);
  }

  require(functionName: string): FunctionRecord {
    return requireFunction(this.#context.records, functionName).record;
  }

  /** Sorted by name. Reads as many records as a page takes: the names are in memory. */
  list(filter: FunctionFilter): Page<FunctionRecord> {
    const { records, routes } = this.#context;
    const { prefix, limit, nextToken, matches } = filter;
    const names = routes.functionNames();
    const after = nextToken === undefined ? '' : decodeToken(nextToken);
    const start = firstBehind(
      names,
      (name) => byCodeUnits(name, after) > 0 && byCodeUnits(name, prefix) >= 0,
    );
    const items: FunctionRecord[] = [];
    let last = '';
    for (const name of names.slice(start)) {
      if (!name.startsWith(prefix)) break;
      const stored = readFunction(records, name)?.record;
      if (stored === undefined || matches?.(stored) === false) continue;
      if (items.length === limit) return { items, nextToken: encodeToken(last) };
      items.push(stored);
      last = name;
    }
    return { items };
  }

  /** Refuses invocations until `enable`; running ones end as they do. */
  disable(functionName: string, reason: string): void {
    const { record, storeRevision } = requireFunction(this.#context.records, functionName);
    this.#replace({ ...record, disabledReason: reason }, storeRevision);
  }

  enable(functionName: string): void {
    const { record, storeRevision } = requireFunction(this.#context.records, functionName);
    if (record.disabledReason === undefined) return;
    const { disabledReason: _gone, ...enabled } = record;
    this.#replace(enabled, storeRevision);
  }

  /** Sets tags over those that are there, on all functions or none. */
  tag(functionNames: readonly string[], tags: readonly Tag[], tagsMax: number): void {
    this.#retag(functionNames, (current) => {
      const keys = new Set(tags.map((tag) => tag.Key));
      const merged = [...current.filter((tag) => !keys.has(tag.Key)), ...tags];
      if (merged.length > tagsMax) {
        throw new ThawError('LIMIT_EXCEEDED', `a function can have at most ${tagsMax} tags`);
      }
      return merged;
    });
  }

  /** Takes the tags with these keys away, or all of them. */
  untag(functionNames: readonly string[], keys: readonly string[] | 'all'): void {
    this.#retag(functionNames, (current) =>
      keys === 'all' ? [] : current.filter((tag) => !keys.includes(tag.Key)),
    );
  }

  #prepareImage({ latest: { config, image } }: FunctionRecord): void {
    if (image === undefined || config.customContainerConfig === undefined) return;
    this.#context.images?.prepare(image, config.customContainerConfig);
  }

  #retag(functionNames: readonly string[], change: (current: readonly Tag[]) => readonly Tag[]): void {
    const writes = [...new Set(functionNames)].flatMap((functionName) => {
      const { record, storeRevision } = requireFunction(this.#context.records, functionName);
      const tags = change(record.tags);
      if (isDeepStrictEqual(tags, record.tags)) return [];
      const value: FunctionRecord = { ...record, tags };
      return [
        { kind: 'put', key: FUNCTIONS.key(functionName), value, expectedRevision: storeRevision } as const,
      ];
    });
    write(this.#context, writes);
  }

  #replace(record: FunctionRecord, expectedRevision: number): void {
    const key = FUNCTIONS.key(record.latest.config.functionName);
    write(this.#context, [{ kind: 'put', key, value: record, expectedRevision }]);
  }
}
