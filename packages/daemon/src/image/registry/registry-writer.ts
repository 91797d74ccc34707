import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Descriptor, RegistrySetting } from '../blob-source.ts';
import type { RegistryReference } from '../image-reference.ts';
import { parseChallenge } from './challenge.ts';
import { collectBytes } from './collect-bytes.ts';
import { mayUsePlainHttp } from './plain-http.ts';
import { RegistryAuthorization } from './registry-authorization.ts';
import { RegistryTransport, type RegistryAnswer, type RegistryRequest } from './registry-transport.ts';

const ERROR_BYTES_MAX = 16 * 1024;

/** A body that can be sent again, when the registry first wants to know from whom it is. */
type Body = NonNullable<RegistryRequest['body']>;

/** Puts blobs and manifests into one repository of a registry (OCI distribution specification 1.1, in one piece each). */
export class RegistryWriter {
  readonly #reference: RegistryReference;
  readonly #transport: RegistryTransport;
  readonly #authorization: RegistryAuthorization;
  readonly #base: URL;

  constructor(reference: RegistryReference, setting: RegistrySetting, insecureRegistries: readonly string[]) {
    const isInsecure = (host: string): boolean => mayUsePlainHttp(host, insecureRegistries);
    this.#reference = reference;
    this.#transport = new RegistryTransport(reference.registry, setting);
    this.#authorization = new RegistryAuthorization(
      this.#transport,
      reference.repository,
      setting,
      isInsecure,
    );
    const scheme = isInsecure(reference.registry) ? 'http' : 'https';
    this.#base = new URL(`${scheme}://${reference.registry}/v2/${reference.repository}/`);
  }

  async hasBlob(digest: string): Promise<boolean> {
    const answer = await this.#ask('HEAD', new URL(`blobs/${digest}`, this.#base), {});
    answer.body.destroy();
    // Some answer with where the blob is.
    return answer.status === 200 || (answer.status >= 300 && answer.status < 400);
  }

  /** Throws IMAGE_ACCESS_DENIED, REGISTRY_FAILED. */
  async putFile({ digest, size }: Pick<Descriptor, 'digest' | 'size'>, path: string): Promise<void> {
    await this.#putBlob(digest, size, () => createReadStream(path));
  }

  async putBytes(bytes: Buffer): Promise<Pick<Descriptor, 'digest' | 'size'>> {
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    await this.#putBlob(digest, bytes.length, () => bytes);
    return { digest, size: bytes.length };
  }

  async putManifest(tag: string, mediaType: string, manifest: object): Promise<void> {
    const bytes = Buffer.from(JSON.stringify(manifest));
    const headers = { 'content-type': mediaType, 'content-length': String(bytes.length) };
    const url = new URL(`manifests/${tag}`, this.#base);
    const answer = await this.#ask('PUT', url, headers, () => bytes);
    await this.#require(answer, [201], `manifest ${tag}`);
  }

  close(): Promise<void> {
    return this.#transport.close();
  }

  async #putBlob(digest: string, size: number, body: Body): Promise<void> {
    if (await this.hasBlob(digest)) return;
    const what = `blob ${digest}`;
    const begun = await this.#ask('POST', new URL('blobs/uploads/', this.#base), { 'content-length': '0' });
    const { location } = begun.headers;
    await this.#require(begun, [202], what);
    if (location === undefined || !URL.canParse(location, this.#base))
      throw new ThawError('REGISTRY_FAILED', `${what}: the registry does not say where to put it`);
    const url = new URL(location, this.#base);
    url.searchParams.set('digest', digest);
    const headers = { 'content-type': 'application/octet-stream', 'content-length': String(size) };
    await this.#require(await this.#ask('PUT', url, headers, body), [201, 204], what);
  }

  /** Proves who asks as far as the registry wants it, and never to another one. */
  async #ask(
    method: 'HEAD' | 'POST' | 'PUT',
    url: URL,
    headers: Readonly<Record<string, string>>,
    body?: Body,
  ): Promise<RegistryAnswer> {
    if (url.origin !== this.#base.origin)
      throw new ThawError('REGISTRY_FAILED', `registry ${this.#reference.registry} sends uploads elsewhere`);
    const send = async (authorization: string | undefined): Promise<RegistryAnswer> =>
      await this.#transport.get({
        url,
        method,
        headers: { ...headers, ...(authorization === undefined ? {} : { authorization }) },
        ...(body === undefined ? {} : { body }),
        signal: undefined,
      });
    const authorization = this.#authorization.current();
    const answer = await send(authorization);
    if (answer.status !== 401) return answer;
    const challenge = parseChallenge(answer.headers['www-authenticate'] ?? '');
    const renewed =
      challenge === undefined ? undefined : await this.#authorization.renew(challenge, authorization);
    if (renewed === undefined) return answer;
    answer.body.destroy();
    return await send(renewed);
  }

  async #require(answer: RegistryAnswer, statuses: readonly number[], what: string): Promise<void> {
    if (statuses.includes(answer.status)) {
      answer.body.resume();
      return;
    }
    const said = await collectBytes(answer.body, ERROR_BYTES_MAX, () => new ThawError('INTERNAL', 'too long'))
      .then((bytes) => bytes.toString('utf8').trim())
      .catch(() => '');
    const { registry, repository } = this.#reference;
    const isDenied = answer.status === 401 || answer.status === 403;
    throw new ThawError(
      isDenied ? 'IMAGE_ACCESS_DENIED' : 'REGISTRY_FAILED',
      `${what} is not taken by ${registry}/${repository} (${answer.status}${said === '' ? '' : `: ${said.slice(0, 200)}`})`,
    );
  }
}
