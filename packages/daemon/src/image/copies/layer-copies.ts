import { ThawError } from '@thaw/protocol/thaw-error.ts';
import * as z from 'zod';
import type { BlobSource, Descriptor, RegistrySetting } from '../blob-source.ts';
import { TOC_DIGEST_ANNOTATION } from '../layer/layer-reader.ts';
import { zstdChunked } from '../layer/zstd-chunked-format.ts';
import { parseImageReference, type RegistryReference } from '../image-reference.ts';
import { RegistrySource } from '../registry/registry-source.ts';
import { RegistryWriter } from '../registry/registry-writer.ts';

/** A repository of the operator's, where machines leave the layers that they have converted for each other. */
export interface CopiesOptions {
  /** `host/name`. */
  readonly repository: string;
  readonly setting: RegistrySetting;
  /** Whether this machine puts what it converts there; otherwise it only looks. */
  readonly pushes: boolean;
}

/** The converted copy of one layer, as it stands in the repository. */
export interface LayerCopy {
  readonly blob: Descriptor;
  readonly tocDigest: string;
}

export interface ConvertedFile {
  readonly path: string;
  readonly digest: string;
  readonly size: number;
  readonly tocDigest: string;
}

interface Artifact {
  readonly tag: string;
  readonly artifactType: string;
  readonly annotations: Readonly<Record<string, string>>;
}

const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const CONFIG_TYPE = 'application/vnd.oci.empty.v1+json';
const ARTIFACT_TYPE = 'application/vnd.thaw.layer-copy.v1';
const PACK_ARTIFACT_TYPE = 'application/vnd.thaw.trace-pack.v1';
/** What tags of packs begin with; the digest of the blob follows. */
export const PACK_TAG = 'trace-pack-1-';
/** Of the one layer: frames of Zstandard, as in a layer, and no tar. */
const PACK_TYPE = 'application/vnd.thaw.trace-pack.v1+zstd';
/** Which layer it is a copy of, and the tar that was in that one. */
const LAYER_ANNOTATION = 'dev.thaw.copy.layer';
const DIFF_ID_ANNOTATION = 'dev.thaw.copy.diff-id';
/** Which image a pack is of, for whoever looks after the repository. */
const IMAGE_ANNOTATION = 'dev.thaw.pack.image';
const DIGEST = z.string().regex(/^sha256:[0-9a-f]{64}$/u);
const COPY = z.object({
  layers: z
    .array(z.object({ mediaType: z.string(), digest: DIGEST, size: z.number().int().positive() }))
    .length(1),
  annotations: z.object({
    [LAYER_ANNOTATION]: DIGEST,
    [DIFF_ID_ANNOTATION]: DIGEST,
    [TOC_DIGEST_ANNOTATION]: DIGEST,
  }),
});

/**
 * Layers that one machine converted, for all others: a copy is a blob of an ordinary registry, under a tag that the
 * layer's own digest gives, so that a layer is converted once for all images and machines. Whoever may write there is
 * trusted as the registry of an image is: a copy's chunks are compared with its table of contents, that with what the
 * tag says, and the tag with nothing.
 */
export class LayerCopies {
  readonly source: BlobSource;
  readonly name: string;
  readonly #reference: RegistryReference;
  readonly #options: CopiesOptions;
  readonly #insecureRegistries: readonly string[];

  /** Opens nothing. */
  constructor(options: CopiesOptions, insecureRegistries: readonly string[]) {
    this.#reference = repositoryOf(options.repository);
    this.#options = options;
    this.#insecureRegistries = insecureRegistries;
    this.name = options.repository;
    const { setting } = options;
    this.source = new RegistrySource({ reference: this.#reference, setting, insecureRegistries });
  }

  get pushes(): boolean {
    return this.#options.pushes;
  }

  /** Undefined where nobody has left one. Throws what a registry does. */
  async find(layer: Descriptor & { readonly diffId: string }): Promise<LayerCopy | undefined> {
    let bytes: Buffer;
    try {
      ({ bytes } = await this.source.manifest(tagOf(layer.digest)));
    } catch (error) {
      if (error instanceof ThawError && error.code === 'IMAGE_NOT_FOUND') return undefined;
      throw error;
    }
    const parsed = COPY.safeParse(jsonIn(bytes));
    const [blob] = parsed.data?.layers ?? [];
    const annotations = parsed.data?.annotations;
    if (blob === undefined || annotations === undefined) return undefined;
    const isOfThisLayer =
      annotations[LAYER_ANNOTATION] === layer.digest && annotations[DIFF_ID_ANNOTATION] === layer.diffId;
    return isOfThisLayer ? { blob, tocDigest: annotations[TOC_DIGEST_ANNOTATION] } : undefined;
  }

  /** Two machines may do it at once: they write the same. */
  async push(
    layer: Descriptor & { readonly diffId: string },
    { path, digest, size, tocDigest }: ConvertedFile,
  ): Promise<void> {
    const annotations = {
      [LAYER_ANNOTATION]: layer.digest,
      [DIFF_ID_ANNOTATION]: layer.diffId,
      [TOC_DIGEST_ANNOTATION]: tocDigest,
    };
    const blob = {
      mediaType: zstdChunked.mediaType,
      digest,
      size,
      annotations: { [TOC_DIGEST_ANNOTATION]: tocDigest },
    };
    await this.#push(path, blob, { tag: tagOf(layer.digest), artifactType: ARTIFACT_TYPE, annotations });
  }

  /** Leaves a pack of what is read first of an image. Who knows its digest finds it; the tag keeps it. */
  async pushPack(image: string, { path, digest, size }: Omit<ConvertedFile, 'tocDigest'>): Promise<void> {
    const blob = { mediaType: PACK_TYPE, digest, size };
    await this.#push(path, blob, {
      tag: PACK_TAG + digest.replace('sha256:', ''),
      artifactType: PACK_ARTIFACT_TYPE,
      annotations: { [IMAGE_ANNOTATION]: image },
    });
  }

  async #push(path: string, blob: Descriptor, { tag, artifactType, annotations }: Artifact): Promise<void> {
    const writer = new RegistryWriter(this.#reference, this.#options.setting, this.#insecureRegistries);
    try {
      const config = await writer.putBytes(Buffer.from('{}'));
      await writer.putFile(blob, path);
      await writer.putManifest(tag, MANIFEST_TYPE, {
        schemaVersion: 2,
        mediaType: MANIFEST_TYPE,
        artifactType,
        config: { mediaType: CONFIG_TYPE, ...config },
        layers: [blob],
        annotations,
      });
    } finally {
      await writer.close();
    }
  }

  close(): Promise<void> {
    return this.source.close();
  }
}

/** Throws INVALID_ARGUMENT for what is no repository. */
export function repositoryOf(name: string): RegistryReference {
  const reference = parseImageReference(name);
  if (reference.kind !== 'registry' || reference.digest !== undefined || /:[^/]*$/u.test(name))
    throw new ThawError('INVALID_ARGUMENT', `'${name}' is no repository of a registry (host/name)`);
  return reference;
}

/** How it was converted; the number is raised when that changes: another name makes other copies. */
function tagOf(layer: string): string {
  return `zstd-chunked-1-${layer.replace('sha256:', '')}`;
}

function jsonIn(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}
