import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { systemClock } from '../../base/clock.ts';
import {
  MANIFEST_BYTES_MAX,
  type BlobOptions,
  type BlobSource,
  type Descriptor,
  type ManifestDocument,
  type RegistrySetting,
} from '../blob-source.ts';
import { formatImageReference, type RegistryReference } from '../image-reference.ts';
import { BlobPlaces } from './blob-places.ts';
import { parseChallenge } from './challenge.ts';
import { collectBytes } from './collect-bytes.ts';
import { mayUsePlainHttp } from './plain-http.ts';
import { RegistryAuthorization } from './registry-authorization.ts';
import { RegistryTransport, type RegistryAnswer } from './registry-transport.ts';
import { cutStream, verifiedStream } from './verified-stream.ts';

export interface RegistrySourceOptions {
  readonly reference: RegistryReference;
  readonly setting: RegistrySetting;
  /** Hosts, with or without a port, that the operator lets be asked over plain HTTP. */
  readonly insecureRegistries: readonly string[];
}

const MANIFEST_TYPES = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');
const REDIRECTS_MAX = 5;
const ERROR_BYTES_MAX = 16 * 1024;
/** What a store says where an address is signed no longer, or the blob is elsewhere by now. */
const MOVED: ReadonlySet<number> = new Set([400, 401, 403, 404, 410]);

/** One repository of a registry (OCI distribution specification 1.1). */
export class RegistrySource implements BlobSource {
  readonly name: string;
  readonly #reference: RegistryReference;
  readonly #transport: RegistryTransport;
  readonly #authorization: RegistryAuthorization;
  readonly #base: string;
  readonly #places = new BlobPlaces(systemClock);
  readonly #mayUsePlainHttp: (host: string) => boolean;

  constructor({ reference, setting, insecureRegistries }: RegistrySourceOptions) {
    this.#reference = reference;
    this.name = reference.registry;
    this.#mayUsePlainHttp = (host) => mayUsePlainHttp(host, insecureRegistries);
    this.#transport = new RegistryTransport(reference.registry, setting);
    this.#authorization = new RegistryAuthorization(
      this.#transport,
      reference.repository,
      setting,
      this.#mayUsePlainHttp,
    );
    const scheme = this.#mayUsePlainHttp(reference.registry) ? 'http' : 'https';
    this.#base = `${scheme}://${reference.registry}/v2/${reference.repository}`;
  }

  async manifest(reference?: string, signal?: AbortSignal): Promise<ManifestDocument> {
    const { tag, digest } = this.#reference;
    const asked = reference ?? digest ?? tag ?? 'latest';
    const what = `manifest ${asked} of ${this.name}/${this.#reference.repository}`;
    const answer = await this.#get(
      `${this.#base}/manifests/${asked}`,
      { accept: MANIFEST_TYPES },
      what,
      signal,
    );
    if (answer.status !== 200) throw await this.#refused(answer, what);
    const tooLarge = (): ThawError =>
      new ThawError('IMAGE_TOO_LARGE', `${what} is larger than ${MANIFEST_BYTES_MAX} bytes`);
    const bytes = await this.#whole(answer.body, tooLarge, what);
    const found = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    if (asked.startsWith('sha256:') && asked !== found)
      throw new ThawError('IMAGE_CORRUPT', `${what} has digest ${found}`);
    const mediaType = (answer.headers['content-type'] ?? '').split(';')[0]?.trim() ?? '';
    return { mediaType, digest: found, bytes };
  }

  async blob(descriptor: Descriptor, { range, signal }: BlobOptions = {}): Promise<Readable> {
    const { digest, size } = descriptor;
    const what = `blob ${digest} of ${this.name}/${this.#reference.repository}`;
    const headers =
      range === undefined ? undefined : { range: `bytes=${range.start}-${Math.min(range.end, size) - 1}` };
    const answer = await this.#getBlob(digest, headers ?? {}, what, signal);
    if (answer.status !== 200 && !(answer.status === 206 && range !== undefined))
      throw await this.#refused(answer, what);
    if (range === undefined) return verifiedStream(answer.body, descriptor, this.name);
    const length = Math.min(range.end, size) - range.start;
    // A server may ignore ranges, or give another one than it was asked for.
    const start = answer.status === 200 ? 0 : firstByteOf(answer.headers['content-range']);
    if (start === undefined || start > range.start) {
      answer.body.destroy();
      throw new ThawError('REGISTRY_FAILED', `${what}: another range came than was asked for`);
    }
    // The client itself ends an answer that is shorter than it says with an error: nothing is left to be cut or counted.
    if (start === range.start && answer.headers['content-length'] === String(length)) return answer.body;
    return cutStream(answer.body, range.start - start, length, what);
  }

  close(): Promise<void> {
    return this.#transport.close();
  }

  /** From where the registry has sent us the last time, as long as it is there. */
  async #getBlob(
    digest: string,
    headers: Readonly<Record<string, string>>,
    what: string,
    signal: AbortSignal | undefined,
  ): Promise<RegistryAnswer> {
    const known = this.#places.of(digest);
    if (known !== undefined) {
      const answer = await this.#getKnown(known, headers, signal);
      if (answer !== undefined) return answer;
      this.#places.delete(digest, known);
    }
    const onMoved = (url: URL): void => this.#places.set(digest, url);
    return await this.#get(`${this.#base}/blobs/${digest}`, headers, what, signal, onMoved);
  }

  /** Undefined where the registry must be asked again, which knows better. No proof of who asks goes there. */
  async #getKnown(
    url: URL,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal | undefined,
  ): Promise<RegistryAnswer | undefined> {
    try {
      const answer = await this.#transport.get({ url, headers, signal });
      if (!MOVED.has(answer.status) && !isRedirect(answer)) return answer;
      answer.body.destroy();
    } catch (error) {
      // One that answers, and cannot now, is asked no more through the registry.
      const hasAnswered = error instanceof ThawError && error.details['status'] !== undefined;
      if (signal?.aborted === true || hasAnswered) throw error;
    }
    return undefined;
  }

  /** Follows redirects and proves who asks, each as far as the registry wants it. */
  async #get(
    address: string,
    headers: Readonly<Record<string, string>>,
    what: string,
    signal: AbortSignal | undefined,
    onMoved: (url: URL) => void = () => undefined,
  ): Promise<RegistryAnswer> {
    const home = new URL(address);
    let url = home;
    let authorization = this.#authorization.current();
    let hasRenewed = false;
    for (let redirects = 0; ;) {
      const isHome = url.origin === home.origin;
      const proof = isHome && authorization !== undefined ? { authorization } : {};
      const answer = await this.#transport.get({ url, headers: { ...headers, ...proof }, signal });
      const { location } = answer.headers;
      if (isRedirect(answer) && location !== undefined) {
        answer.body.destroy();
        redirects += 1;
        if (redirects > REDIRECTS_MAX)
          throw new ThawError('REGISTRY_FAILED', `${what} is behind more than ${REDIRECTS_MAX} redirects`);
        url = this.#redirected(location, url, what);
        continue;
      }
      if (!isHome && (answer.status === 200 || answer.status === 206)) onMoved(url);
      if (answer.status !== 401 || !isHome || hasRenewed) return answer;
      const challenge = parseChallenge(answer.headers['www-authenticate'] ?? '');
      if (challenge === undefined) return answer;
      const renewed = await this.#authorization.renew(challenge, authorization, signal);
      if (renewed === undefined) return answer;
      answer.body.destroy();
      authorization = renewed;
      hasRenewed = true;
    }
  }

  #redirected(location: string, from: URL, what: string): URL {
    const url = URL.canParse(location, from) ? new URL(location, from) : undefined;
    const isAllowed =
      url?.protocol === 'https:' || (url?.protocol === 'http:' && this.#mayUsePlainHttp(url.host));
    if (url === undefined || !isAllowed)
      throw new ThawError('REGISTRY_FAILED', `${what} is redirected to where it cannot be had securely`);
    return url;
  }

  async #whole(body: Readable, tooLarge: () => ThawError, what: string): Promise<Buffer> {
    try {
      return await collectBytes(body, MANIFEST_BYTES_MAX, tooLarge);
    } catch (cause) {
      if (cause instanceof ThawError) throw cause;
      throw new ThawError('REGISTRY_FAILED', `${what} did not come to its end`, { cause });
    }
  }

  async #refused(answer: RegistryAnswer, what: string): Promise<ThawError> {
    const said = await collectBytes(answer.body, ERROR_BYTES_MAX, () => new ThawError('INTERNAL', 'too long'))
      .then((bytes) => messageIn(bytes.toString()))
      .catch(() => '');
    const details = { image: formatImageReference(this.#reference), status: answer.status };
    const tail = said === '' ? '' : ` (${said})`;
    switch (answer.status) {
      case 401:
      case 403:
        return new ThawError('IMAGE_ACCESS_DENIED', `${what} may not be read by ${this.#who()}${tail}`, {
          details,
        });
      case 404:
        return new ThawError('IMAGE_NOT_FOUND', `${what} is not there${tail}`, { details });
      default:
        return new ThawError('REGISTRY_FAILED', `${what}: the registry answers ${answer.status}${tail}`, {
          details,
        });
    }
  }

  #who(): string {
    const hasUser = this.#authorization.current() !== undefined;
    return hasUser ? 'the user of registryConfig.authConfig' : 'anybody without registryConfig.authConfig';
  }
}

function isRedirect({ status, headers }: RegistryAnswer): boolean {
  return status >= 300 && status < 400 && headers['location'] !== undefined;
}

function firstByteOf(contentRange: string | undefined): number | undefined {
  const first = /^bytes (\d+)-/u.exec(contentRange ?? '')?.[1];
  return first === undefined ? undefined : Number(first);
}

/** The first message of a registry's error answer. */
function messageIn(text: string): string {
  try {
    const parsed: unknown = JSON.parse(text);
    const errors: unknown =
      typeof parsed === 'object' && parsed !== null ? Reflect.get(parsed, 'errors') : [];
    const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
    const message: unknown =
      typeof first === 'object' && first !== null ? Reflect.get(first, 'message') : undefined;
    return typeof message === 'string' ? message.slice(0, 200) : '';
  } catch {
    return '';
  }
}
