import { isAbsolute, resolve } from 'node:path';
import { ThawError } from '@thaw/protocol/thaw-error.ts';

/** Where an image is, as its user wrote it, taken apart. */
export type ImageReference = RegistryReference | LayoutReference;

export interface RegistryReference {
  readonly kind: 'registry';
  /** Host, and port where one was named. */
  readonly registry: string;
  readonly repository: string;
  /** `latest` where neither tag nor digest was named. */
  readonly tag: string | undefined;
  readonly digest: string | undefined;
}

export interface LayoutReference {
  readonly kind: 'layout';
  /** Absolute path of a directory with an `oci-layout` file on the machine of the platform. */
  readonly directory: string;
  readonly tag: string | undefined;
  readonly digest: string | undefined;
}

const DOCKER_HUB = 'registry-1.docker.io';
const DOCKER_HUB_NAMES = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io']);
const REFERENCE_CHARACTERS_MAX = 1024;
const TAG = /^\w[\w.-]{0,127}$/u;
const DIGEST = /^sha256:[0-9a-f]{64}$/u;
const REPOSITORY = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/u;
const HOST = /^(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::[0-9]{1,5})?$/u;
const LAYOUT_PREFIX = 'oci:';

/**
 * Reads `registry/repository:tag@digest` in the ways that Docker does, and `oci:/directory:tag` for a layout. Throws
 * INVALID_ARGUMENT.
 */
export function parseImageReference(text: string): ImageReference {
  if (text.length > REFERENCE_CHARACTERS_MAX)
    throw invalid(text.slice(0, 80), `is longer than ${REFERENCE_CHARACTERS_MAX} characters`);
  const { rest: named, digest } = splitDigest(text, text.replace(/^docker:\/\/|^https?:\/\//u, ''));
  return named.startsWith(LAYOUT_PREFIX)
    ? layoutReference(text, named.slice(LAYOUT_PREFIX.length), digest)
    : registryReference(text, named, digest);
}

/** The whole name again: `registry/repository@digest`, or with the tag where no digest is named. */
export function formatImageReference(reference: ImageReference): string {
  const place =
    reference.kind === 'layout'
      ? `${LAYOUT_PREFIX}${reference.directory}`
      : `${reference.registry}/${reference.repository}`;
  if (reference.digest !== undefined) return `${place}@${reference.digest}`;
  return reference.tag === undefined ? place : `${place}:${reference.tag}`;
}

/** The same image whatever becomes of its tag. */
export function withDigest(reference: ImageReference, digest: string): ImageReference {
  return { ...reference, tag: undefined, digest };
}

function splitDigest(text: string, rest: string): { rest: string; digest: string | undefined } {
  const at = rest.lastIndexOf('@');
  if (at < 0) return { rest, digest: undefined };
  const digest = rest.slice(at + 1);
  if (!DIGEST.test(digest)) throw invalid(text, 'has a digest that is no sha256:<64 hexadecimal digits>');
  return { rest: rest.slice(0, at), digest };
}

function layoutReference(text: string, named: string, digest: string | undefined): LayoutReference {
  const { rest, tag } = splitTag(named);
  if (!isAbsolute(rest)) throw invalid(text, 'names a layout by a path that is not absolute');
  return { kind: 'layout', directory: resolve(rest), tag, digest };
}

function registryReference(text: string, named: string, digest: string | undefined): RegistryReference {
  const slash = named.indexOf('/');
  const first = slash < 0 ? '' : named.slice(0, slash);
  const hasHost = /[.:]|^localhost$|^\[/u.test(first);
  const host = hasHost ? first : 'docker.io';
  const { rest: path, tag } = splitTag(hasHost ? named.slice(slash + 1) : named);
  const isHub = DOCKER_HUB_NAMES.has(host.toLowerCase());
  const repository = isHub && !path.includes('/') ? `library/${path}` : path;
  if (!HOST.test(host)) throw invalid(text, 'names no registry');
  if (!REPOSITORY.test(repository)) throw invalid(text, 'has no repository of lower-case names');
  if (tag !== undefined && !TAG.test(tag)) throw invalid(text, 'has a tag that is none');
  const registry = isHub ? DOCKER_HUB : host.toLowerCase();
  return {
    kind: 'registry',
    registry,
    repository,
    tag: tag ?? (digest === undefined ? 'latest' : undefined),
    digest,
  };
}

function splitTag(named: string): { rest: string; tag: string | undefined } {
  const colon = named.lastIndexOf(':');
  if (colon < 0 || named.indexOf('/', colon) >= 0) return { rest: named, tag: undefined };
  return { rest: named.slice(0, colon), tag: named.slice(colon + 1) };
}

function invalid(text: string, why: string): ThawError {
  return new ThawError('INVALID_ARGUMENT', `the image ${JSON.stringify(text)} ${why}`);
}
