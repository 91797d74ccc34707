import { createHash } from 'node:crypto';
import { copyFile, mkdir, open, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Descriptor } from '../blob-source.ts';
import { readImage } from '../oci/read-image.ts';
import { LayoutSource } from '../oci/layout-source.ts';
import { convertLayer } from './convert-layer.ts';
import type { LayerFormat } from './layer-format.ts';
import { TOC_DIGEST_ANNOTATION } from './layer-reader.ts';
import { plainTar } from './plain-tar.ts';

const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';

/**
 * Writes an image of an OCI layout once more as one whose layers are in this format, into another layout: any registry
 * takes it, and a platform mounts it lazily at once. Gives the digest of the new manifest.
 */
export async function convertLayout(
  from: string,
  to: string,
  tag: string,
  format: LayerFormat,
): Promise<string> {
  const source = new LayoutSource({ kind: 'layout', directory: from, tag, digest: undefined });
  const image = await readImage(source);
  const blobs = join(to, 'blobs', 'sha256');
  await mkdir(blobs, { recursive: true });
  const layers: Descriptor[] = [];
  const diffIds: string[] = [];
  for (const layer of image.layers) {
    const temporary = join(blobs, `.tmp-${layers.length}`);
    const file = await open(temporary, 'w');
    try {
      const written = await convertLayer(plainTar(await source.blob(layer)), file, format);
      await rename(temporary, blobPath(to, written.digest));
      const annotations = { [TOC_DIGEST_ANNOTATION]: written.tocDigest };
      layers.push({ mediaType: format.mediaType, digest: written.digest, size: written.size, annotations });
      diffIds.push(written.diffId);
    } finally {
      await file.close();
    }
  }
  const config = await put(to, await convertedConfig(blobPath(from, image.configDescriptor.digest), diffIds));
  const manifest = await put(to, {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: { mediaType: image.configDescriptor.mediaType, ...config },
    layers,
  });
  const annotations = { 'org.opencontainers.image.ref.name': tag };
  const manifests = [{ mediaType: MANIFEST_TYPE, ...manifest, annotations }];
  await writeFile(join(to, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
  await copyFile(join(from, 'oci-layout'), join(to, 'oci-layout'));
  await source.close();
  return manifest.digest;
}

/** The layers' tars have changed, so their digests and the list of steps that goes with them. */
async function convertedConfig(path: string, diffIds: readonly string[]): Promise<object> {
  const config: unknown = JSON.parse(await readFile(path, 'utf8'));
  if (typeof config !== 'object' || config === null)
    throw new ThawError('INVALID_IMAGE', 'the configuration of an image is no JSON object');
  return { ...config, rootfs: { type: 'layers', diff_ids: diffIds } };
}

async function put(
  layout: string,
  document: object,
): Promise<{ readonly digest: string; readonly size: number }> {
  const bytes = Buffer.from(JSON.stringify(document));
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  await writeFile(blobPath(layout, digest), bytes);
  return { digest, size: bytes.length };
}

function blobPath(layout: string, digest: string): string {
  return join(layout, 'blobs', 'sha256', digest.replace('sha256:', ''));
}
