import type { CreateLayerVersionInput } from '@thaw/protocol/fc/layer.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { FunctionVersion, Layer } from '../model/function.ts';
import type { Records } from '../store/records.ts';
import { layerVersionArn, parseLayerVersionArn } from './arn.ts';
import { timeStamp, write, type CatalogContext } from './catalog-context.ts';
import { takeIn, type NewCode } from './code-intake.ts';
import { pageOf, type Page, type PageRequest } from './page.ts';
import { readLayer, type StoredLayer } from './stored-layer.ts';
import { FUNCTIONS, LAYER_COUNTERS, LAYERS, VERSIONS } from './record-kinds.ts';

const ACL_PRIVATE = 0;
const ACL_PUBLIC = 1;

/** Layers: numbered packages of files that functions share. */
export class Layers {
  readonly #context: CatalogContext;

  constructor(context: CatalogContext) {
    this.#context = context;
  }

  /** Throws INVALID_CODE_PACKAGE. Numbers are given once, even after a version was deleted. */
  async publish(layerName: string, input: CreateLayerVersionInput, newCode: NewCode): Promise<Layer> {
    const { records, packages, clock } = this.#context;
    const codeRef = await takeIn(packages, newCode);
    const counter = LAYER_COUNTERS.get(records, layerName);
    const version = (counter?.value ?? 0) + 1;
    const layer: Layer = {
      layerName,
      version,
      description: input.description,
      license: input.license,
      compatibleRuntime: input.compatibleRuntime,
      code: codeRef,
      acl: ACL_PRIVATE,
      createTime: timeStamp(clock),
    };
    write(this.#context, [
      {
        kind: 'put',
        key: LAYER_COUNTERS.key(layerName),
        value: version,
        expectedRevision: counter?.revision ?? 0,
      },
      {
        kind: 'put',
        key: LAYERS.key(layerName, String(version)),
        value: { layer, isDeleted: false } satisfies StoredLayer,
        expectedRevision: 0,
      },
    ]);
    return layer;
  }

  require(layerName: string, version: number): Layer {
    const stored = readLayer(this.#context.records, layerName, version);
    if (stored === undefined || stored.isDeleted) throw layerNotFound(layerName, version);
    return stored.layer;
  }

  /** Throws LAYER_NOT_FOUND, also for a text that is no layer's ARN. */
  requireByArn(arn: string): Layer {
    const name = parseLayerVersionArn(arn);
    if (name === undefined) throw new ThawError('LAYER_NOT_FOUND', `layer version '${arn}' does not exist`);
    return this.require(name.layerName, name.version);
  }

  /** Bytes of a layer version's zip, also of one that was deleted while it is used; 0 when there is none. */
  sizeOf(arn: string): number {
    const name = parseLayerVersionArn(arn);
    if (name === undefined) return 0;
    return readLayer(this.#context.records, name.layerName, name.version)?.layer.code.size ?? 0;
  }

  /** The newest version of each layer, sorted by name. */
  list(prefix: string, isPublicOnly: boolean, request: PageRequest): Page<Layer> {
    const { records } = this.#context;
    const newest = LAYER_COUNTERS.list(records, prefix)
      .flatMap((counter) => liveVersions(records, counter.key.slice(LAYER_COUNTERS.prefix.length)).slice(-1))
      .filter((layer) => !isPublicOnly || layer.acl === ACL_PUBLIC);
    return pageOf(newest, (layer) => layer.layerName, request);
  }

  /** Versions from `startVersion` up, and the one at which the next page starts. */
  listVersions(
    layerName: string,
    startVersion: number,
    limit: number,
  ): { readonly layers: readonly Layer[]; readonly nextVersion?: number } {
    const { records } = this.#context;
    if (LAYER_COUNTERS.get(records, layerName) === undefined) throw layerNotFound(layerName);
    const versions = liveVersions(records, layerName).filter((layer) => layer.version >= startVersion);
    const next = versions[limit];
    const layers = versions.slice(0, limit);
    return next === undefined ? { layers } : { layers, nextVersion: next.version };
  }

  /** Functions that use the version run on; no other function can take it. */
  delete(layerName: string, version: number): void {
    const { records } = this.#context;
    const layer = this.require(layerName, version);
    const key = LAYERS.key(layerName, String(version));
    if (isUsed(records, layer)) {
      write(this.#context, [{ kind: 'put', key, value: { layer, isDeleted: true } satisfies StoredLayer }]);
    } else {
      write(this.#context, [{ kind: 'delete', key }]);
    }
  }

  /** Forgets deleted versions that no function uses any more. */
  forgetUnused(): void {
    const { records } = this.#context;
    const unused = LAYERS.list(records).filter(
      ({ value }) => value.isDeleted && !isUsed(records, value.layer),
    );
    write(
      this.#context,
      unused.map(({ key, revision }) => ({ kind: 'delete', key, expectedRevision: revision })),
    );
  }

  /** Who may use the layer's versions. One account owns the platform, so this only changes what `list` shows. */
  setPublic(layerName: string, isPublic: boolean): void {
    const { records } = this.#context;
    const versions = liveVersions(records, layerName);
    if (versions.length === 0) throw layerNotFound(layerName);
    write(
      this.#context,
      versions.map((layer) => ({
        kind: 'put',
        key: LAYERS.key(layerName, String(layer.version)),
        value: {
          layer: { ...layer, acl: isPublic ? ACL_PUBLIC : ACL_PRIVATE },
          isDeleted: false,
        } satisfies StoredLayer,
      })),
    );
  }
}

function liveVersions(records: Records, layerName: string): readonly Layer[] {
  return LAYERS.list(records, `${layerName}/`)
    .map((stored) => stored.value)
    .flatMap((stored) => (stored.isDeleted ? [] : [stored.layer]))
    .toSorted((left, right) => left.version - right.version);
}

/** Region and account in an ARN may be anybody's, so ARNs are compared by what they name. */
function isUsed(records: Records, layer: Layer): boolean {
  const local = { region: '', accountId: '' };
  const wanted = layerVersionArn(local, layer.layerName, layer.version);
  const uses = (version: FunctionVersion): boolean =>
    version.config.layers.some((arn) => {
      const name = parseLayerVersionArn(arn);
      return name !== undefined && layerVersionArn(local, name.layerName, name.version) === wanted;
    });
  return (
    FUNCTIONS.list(records).some((stored) => uses(stored.value.latest)) ||
    VERSIONS.list(records).some((stored) => uses(stored.value))
  );
}

function layerNotFound(layerName: string, version?: number): ThawError {
  const what =
    version === undefined ? `layer '${layerName}'` : `version '${version}' of layer '${layerName}'`;
  return new ThawError('LAYER_NOT_FOUND', `${what} does not exist`, { details: { layer: layerName } });
}
