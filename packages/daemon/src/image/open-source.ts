import type { BlobSource, RegistrySetting } from './blob-source.ts';
import type { ImageReference } from './image-reference.ts';
import { LayoutSource } from './oci/layout-source.ts';
import { RegistrySource } from './registry/registry-source.ts';

/** The source for a reference. Nothing is opened yet. */
export function openSource(
  reference: ImageReference,
  setting: RegistrySetting,
  insecureRegistries: readonly string[],
): BlobSource {
  return reference.kind === 'layout'
    ? new LayoutSource(reference)
    : new RegistrySource({ reference, setting, insecureRegistries });
}
