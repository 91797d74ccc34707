import type { CreateAliasInput, UpdateAliasInput } from '@thaw/protocol/fc/alias.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Alias } from '../model/function.ts';
import { requireFunction, timeStamp, write, writeNew, type CatalogContext } from './catalog-context.ts';
import { pageOf, type Page, type PageRequest } from './page.ts';
import { aliasNotFound, requireVersion } from './versions.ts';
import { ALIASES } from './record-kinds.ts';

/** Aliases: names that lead to versions and can be moved. */
export class Aliases {
  readonly #context: CatalogContext;

  constructor(context: CatalogContext) {
    this.#context = context;
  }

  /** Throws ALIAS_EXISTS, FUNCTION_NOT_FOUND, VERSION_NOT_FOUND, INVALID_ARGUMENT. */
  create(functionName: string, input: CreateAliasInput): Alias {
    const { records, clock } = this.#context;
    requireFunction(records, functionName);
    const now = timeStamp(clock);
    const alias: Alias = { functionName, ...input, createdTime: now, lastModifiedTime: now };
    this.#requireTargets(alias);
    const key = ALIASES.key(functionName, alias.aliasName);
    writeNew(
      this.#context,
      [{ kind: 'put', key, value: alias, expectedRevision: 0 }],
      'ALIAS_EXISTS',
      `alias '${alias.aliasName}' of function '${functionName}' already exists`,
    );
    return alias;
  }

  update(functionName: string, aliasName: string, input: UpdateAliasInput): Alias {
    const { alias, storeRevision } = this.#require(functionName, aliasName);
    const changed: Alias = {
      ...alias,
      versionId: input.versionId ?? alias.versionId,
      description: input.description ?? alias.description,
      additionalVersionWeight: input.additionalVersionWeight ?? alias.additionalVersionWeight,
      lastModifiedTime: timeStamp(this.#context.clock),
    };
    this.#requireTargets(changed);
    const key = ALIASES.key(functionName, aliasName);
    write(this.#context, [{ kind: 'put', key, value: changed, expectedRevision: storeRevision }]);
    return changed;
  }

  require(functionName: string, aliasName: string): Alias {
    return this.#require(functionName, aliasName).alias;
  }

  list(functionName: string, prefix: string, request: PageRequest): Page<Alias> {
    const { records } = this.#context;
    requireFunction(records, functionName);
    const aliases = ALIASES.list(records, `${functionName}/${prefix}`).map((stored) => stored.value);
    return pageOf(aliases, (alias) => alias.aliasName, request);
  }

  delete(functionName: string, aliasName: string): void {
    const { storeRevision } = this.#require(functionName, aliasName);
    const key = ALIASES.key(functionName, aliasName);
    write(this.#context, [{ kind: 'delete', key, expectedRevision: storeRevision }]);
  }

  #require(functionName: string, aliasName: string): { alias: Alias; storeRevision: number } {
    const { records } = this.#context;
    requireFunction(records, functionName);
    const stored = ALIASES.get(records, functionName, aliasName);
    if (stored === undefined) throw aliasNotFound(functionName, aliasName);
    return { alias: stored.value, storeRevision: stored.revision };
  }

  #requireTargets(alias: Alias): void {
    requireVersion(this.#context.records, alias.functionName, alias.versionId);
    for (const versionId of Object.keys(alias.additionalVersionWeight)) {
      if (versionId === alias.versionId) {
        throw new ThawError(
          'INVALID_ARGUMENT',
          `additionalVersionWeight must not name version '${versionId}', which the alias itself leads to`,
          { details: { field: 'additionalVersionWeight' } },
        );
      }
      requireVersion(this.#context.records, alias.functionName, versionId);
    }
  }
}
