import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { LATEST, type FunctionRecord, type FunctionVersion } from '../model/function.ts';
import type { Records } from '../store/records.ts';
import { requireFunction, timeStamp, write, type CatalogContext } from './catalog-context.ts';
import { pageOf, type Page, type PageRequest } from './page.ts';
import { newRevision } from './revision.ts';
import { isVersionNumber } from './routing-table.ts';
import { ALIASES, FUNCTIONS, VERSIONS } from './record-kinds.ts';

export interface VersionListRequest extends PageRequest {
  /** `BACKWARD` lists the newest first. */
  readonly direction: 'BACKWARD' | 'FORWARD';
}

/** Published versions: what LATEST was at a moment, never changed again. */
export class Versions {
  readonly #context: CatalogContext;

  constructor(context: CatalogContext) {
    this.#context = context;
  }

  /** Gives LATEST the next number. Publishing the same thing twice makes two versions. */
  publish(functionName: string, description: string): FunctionVersion {
    const { records, clock } = this.#context;
    const { record, storeRevision } = requireFunction(records, functionName);
    const number = record.lastVersionNumber + 1;
    const now = timeStamp(clock);
    const version: FunctionVersion = {
      ...record.latest,
      versionId: String(number),
      revision: newRevision(),
      description,
      createdTime: now,
      lastModifiedTime: now,
    };
    const counted: FunctionRecord = { ...record, lastVersionNumber: number };
    write(this.#context, [
      { kind: 'put', key: FUNCTIONS.key(functionName), value: counted, expectedRevision: storeRevision },
      {
        kind: 'put',
        key: VERSIONS.key(functionName, version.versionId),
        value: version,
        expectedRevision: 0,
      },
    ]);
    return version;
  }

  list(functionName: string, request: VersionListRequest): Page<FunctionVersion> {
    const { records } = this.#context;
    requireFunction(records, functionName);
    const sign = request.direction === 'FORWARD' ? 1 : -1;
    const compare = (left: string, right: string): number => sign * (Number(left) - Number(right));
    const versions = VERSIONS.list(records, `${functionName}/`)
      .map((stored) => stored.value)
      .toSorted((left, right) => compare(left.versionId, right.versionId));
    return pageOf(versions, (version) => version.versionId, request, compare);
  }

  /** Throws IN_USE while an alias leads to it: its callers would get errors. */
  delete(functionName: string, versionId: string): void {
    const { records } = this.#context;
    requireFunction(records, functionName);
    const stored = VERSIONS.get(records, functionName, versionId);
    if (stored === undefined) throw versionNotFound(functionName, versionId);
    for (const { value: alias } of ALIASES.list(records, `${functionName}/`)) {
      if (alias.versionId === versionId || versionId in alias.additionalVersionWeight) {
        throw new ThawError(
          'IN_USE',
          `version '${versionId}' of function '${functionName}' is used by alias '${alias.aliasName}'`,
        );
      }
    }
    const key = VERSIONS.key(functionName, versionId);
    write(this.#context, [{ kind: 'delete', key, expectedRevision: stored.revision }]);
  }

  /** The version behind a qualifier; a weighted alias means its main one. Throws what is missing. */
  require(functionName: string, qualifier: string | undefined): FunctionVersion {
    return requireVersion(this.#context.records, functionName, qualifier);
  }
}

/** Throws FUNCTION_NOT_FOUND, VERSION_NOT_FOUND or ALIAS_NOT_FOUND. */
export function requireVersion(
  records: Records,
  functionName: string,
  qualifier: string | undefined,
): FunctionVersion {
  const { record } = requireFunction(records, functionName);
  if (qualifier === undefined || qualifier === '' || qualifier === LATEST) return record.latest;
  let versionId = qualifier;
  if (!isVersionNumber(qualifier)) {
    const alias = ALIASES.get(records, functionName, qualifier);
    if (alias === undefined) throw aliasNotFound(functionName, qualifier);
    versionId = alias.value.versionId;
    if (versionId === LATEST) return record.latest;
  }
  const stored = VERSIONS.get(records, functionName, versionId);
  if (stored === undefined) throw versionNotFound(functionName, versionId);
  return stored.value;
}

export function aliasNotFound(functionName: string, aliasName: string): ThawError {
  return new ThawError(
    'ALIAS_NOT_FOUND',
    `alias '${aliasName}' of function '${functionName}' does not exist`,
    {
      details: { function: functionName, alias: aliasName },
    },
  );
}

function versionNotFound(functionName: string, versionId: string): ThawError {
  return new ThawError(
    'VERSION_NOT_FOUND',
    `version '${versionId}' of function '${functionName}' does not exist`,
    { details: { function: functionName, version: versionId } },
  );
}
