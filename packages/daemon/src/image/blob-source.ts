import type { Readable } from 'node:stream';
import type { Descriptor } from '../model/image.ts';
import type { ImageReference } from './image-reference.ts';

export type { Descriptor } from '../model/image.ts';

/**
 * Where the manifests and blobs of images come from: a registry or an OCI layout directory. Making one opens nothing.
 *
 * Contract (numbers are named by `blob-source-contract.ts`):
 *  1. `manifest` gives the exact bytes and their digest; where the reference or the caller named a digest they match it,
 *     or it rejects with IMAGE_CORRUPT. A manifest is never larger than `MANIFEST_BYTES_MAX`.
 *  2. `blob` without a range gives exactly `size` bytes whose digest is the descriptor's, or its stream fails with
 *     IMAGE_CORRUPT; nothing is known of the digest before the stream has ended.
 *  3. `blob` with a range gives exactly those bytes, whatever the server makes of ranges, or its stream fails. They are
 *     not verified: whoever asks for a part knows what it must be.
 *  4. What is not there is IMAGE_NOT_FOUND; what may not be read is IMAGE_ACCESS_DENIED; a server that cannot be reached,
 *     or fails for as long as it is asked again, is REGISTRY_FAILED.
 *  5. A destroyed stream or an aborted signal ends its request.
 */
export interface BlobSource {
  /** For messages and logs, without credentials. */
  readonly name: string;
  /** `reference` is a tag or a digest; absent: the one that the image's reference names. */
  manifest(reference?: string, signal?: AbortSignal): Promise<ManifestDocument>;
  blob(descriptor: Descriptor, options?: BlobOptions): Promise<Readable>;
  close(): Promise<void>;
}

export interface BlobOptions {
  readonly range?: ByteRange;
  readonly signal?: AbortSignal;
}

/** Bytes from `start` up to, but not with, `end`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export interface ManifestDocument {
  readonly mediaType: string;
  readonly digest: string;
  readonly bytes: Buffer;
}

/** Makes the source for a reference with what the function says of its registry. */
export type OpenBlobSource = (reference: ImageReference, registry: RegistrySetting) => BlobSource;

/** What a function says of its registry (FC's `registryConfig`). */
export interface RegistrySetting {
  readonly userName?: string;
  readonly password?: string;
  /** Certificates are not verified; plain HTTP is still for the loopback and what the operator names only. */
  readonly insecure?: boolean;
  /** PEM of a certificate authority to trust besides the system's. */
  readonly rootCertificate?: string;
}

export const MANIFEST_BYTES_MAX = 4 * 1024 * 1024;
