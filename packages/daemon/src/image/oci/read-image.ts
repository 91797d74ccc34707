import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import {
  MANIFEST_BYTES_MAX,
  type BlobSource,
  type Descriptor,
  type ManifestDocument,
} from '../blob-source.ts';
import type { Image, ImageConfig } from '../image.ts';
import { collectBytes } from '../registry/collect-bytes.ts';
import { isIndex, parseConfig, parseIndex, parseManifest, type ConfigDocument } from './manifest-json.ts';

/** Lists of lists are followed so far. */
const INDEX_DEPTH_MAX = 3;
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };
const LAYER_TYPE =
  /^application\/(?:vnd\.oci\.image\.layer(?:\.nondistributable)?\.v1\.tar|vnd\.docker\.image\.rootfs\.(?:foreign\.)?diff\.tar)(?:[.+](?:gzip|zstd))?$/u;

/**
 * Reads what the source's reference names now: an image for this machine, out of a list where there is one. Throws
 * IMAGE_NOT_FOUND, IMAGE_ACCESS_DENIED, INVALID_IMAGE, IMAGE_CORRUPT, IMAGE_TOO_LARGE, REGISTRY_FAILED.
 */
export async function readImage(source: BlobSource, signal?: AbortSignal): Promise<Image> {
  const document = await imageManifest(source, signal);
  const what = `manifest ${document.digest} of ${source.name}`;
  const { config: configDescriptor, layers } = parseManifest(document.bytes, what);
  if (layers.length > LIMITS.imageLayersMax)
    throw new ThawError(
      'IMAGE_TOO_LARGE',
      `${what} has ${layers.length} layers; ${LIMITS.imageLayersMax} may be`,
    );
  const compressed = layers.reduce((sum, { size }) => sum + size, 0);
  if (compressed > LIMITS.imageBytesMax)
    throw new ThawError('IMAGE_TOO_LARGE', `${what} has ${compressed} bytes; ${LIMITS.imageBytesMax} may be`);
  const strange = layers.find(({ mediaType }) => !LAYER_TYPE.test(mediaType));
  if (strange !== undefined)
    throw new ThawError(
      'INVALID_IMAGE',
      `${what} has a layer of the kind '${strange.mediaType}', which is no image layer`,
    );
  const parsed = parseConfig(
    await configBytes(source, configDescriptor, signal),
    `the configuration of ${what}`,
  );
  const diffIds = parsed.rootfs.diff_ids;
  if (diffIds.length !== layers.length)
    throw new ThawError(
      'INVALID_IMAGE',
      `${what} has ${layers.length} layers and ${diffIds.length} diff_ids`,
    );
  requirePlatform(parsed, what);
  return {
    digest: document.digest,
    config: imageConfig(parsed),
    configDescriptor,
    layers: layers.map((layer, at) => ({ ...layer, diffId: diffIds[at] ?? '' })),
  };
}

async function imageManifest(source: BlobSource, signal: AbortSignal | undefined): Promise<ManifestDocument> {
  let document = await source.manifest(undefined, signal);
  for (let depth = 0; depth < INDEX_DEPTH_MAX; depth++) {
    const what = `manifest ${document.digest} of ${source.name}`;
    if (!isIndex(document.mediaType, document.bytes, what)) return document;
    const entries = parseIndex(document.bytes, what);
    const own = entries.find(
      ({ platform }) => platform?.os === 'linux' && platform.architecture === architecture(),
    );
    // A list of one that says nothing of platforms means that one.
    const chosen =
      own ?? (entries.length === 1 && entries[0]?.platform === undefined ? entries[0] : undefined);
    if (chosen === undefined) {
      const has = entries.flatMap(({ platform }) =>
        platform === undefined ? [] : `${platform.os}/${platform.architecture}`,
      );
      throw new ThawError(
        'INVALID_IMAGE',
        `${what} is for ${[...new Set(has)].join(', ') || 'nothing'}, not for linux/${architecture()}`,
      );
    }
    document = await source.manifest(chosen.digest, signal);
  }
  throw new ThawError(
    'INVALID_IMAGE',
    `the image of ${source.name} is behind more than ${INDEX_DEPTH_MAX} lists`,
  );
}

async function configBytes(
  source: BlobSource,
  descriptor: Descriptor,
  signal: AbortSignal | undefined,
): Promise<Buffer> {
  const tooLarge = (): ThawError =>
    new ThawError(
      'IMAGE_TOO_LARGE',
      `configuration ${descriptor.digest} is larger than ${MANIFEST_BYTES_MAX} bytes`,
    );
  if (descriptor.size > MANIFEST_BYTES_MAX) throw tooLarge();
  const stream = await source.blob(descriptor, signal === undefined ? {} : { signal });
  try {
    return await collectBytes(stream, MANIFEST_BYTES_MAX, tooLarge);
  } catch (cause) {
    if (cause instanceof ThawError) throw cause;
    throw new ThawError('REGISTRY_FAILED', `configuration ${descriptor.digest} did not come to its end`, {
      cause,
    });
  }
}

function requirePlatform({ os, architecture: of }: ConfigDocument, what: string): void {
  if ((os === '' || os === 'linux') && (of === '' || of === architecture())) return;
  throw new ThawError('INVALID_IMAGE', `${what} is for ${os}/${of}, not for linux/${architecture()}`);
}

function architecture(): string {
  return ARCHITECTURES[process.arch] ?? process.arch;
}

function imageConfig(parsed: ConfigDocument): ImageConfig {
  const { User, Env, WorkingDir, Entrypoint, Cmd, ExposedPorts } = parsed.config ?? {};
  const variables = (Env ?? []).flatMap((text): [string, string][] => {
    const equals = text.indexOf('=');
    return equals <= 0 || text.includes('\0') ? [] : [[text.slice(0, equals), text.slice(equals + 1)]];
  });
  const ports = Object.keys(ExposedPorts ?? {}).flatMap((text) => {
    const [port = '', protocol = 'tcp'] = text.split('/');
    return protocol === 'tcp' && /^\d{1,5}$/u.test(port) ? [Number(port)] : [];
  });
  return {
    environment: Object.fromEntries(variables),
    user: User ?? '',
    workingDirectory: WorkingDir ?? '',
    entrypoint: Entrypoint ?? [],
    command: Cmd ?? [],
    ports: ports.toSorted((one, other) => one - other),
    architecture: parsed.architecture,
    os: parsed.os,
  };
}
