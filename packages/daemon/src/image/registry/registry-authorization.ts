import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { RegistrySetting } from '../blob-source.ts';
import type { Challenge } from './challenge.ts';
import { collectBytes } from './collect-bytes.ts';
import type { RegistryTransport } from './registry-transport.ts';

const TOKEN_BYTES_MAX = 256 * 1024;
/** The distribution specification's default where a token server names no lifetime. */
const LIFETIME_S_DEFAULT = 60;
/** A token is given up so long before its end, so that it lasts for the request that it is sent with. */
const MARGIN_MS = 5_000;

/** The `Authorization` header for one repository of one registry: basic, or a bearer token kept for as long as it lasts. */
export class RegistryAuthorization {
  readonly #transport: RegistryTransport;
  readonly #repository: string;
  readonly #setting: RegistrySetting;
  readonly #mayUsePlainHttp: (host: string) => boolean;
  #header: { readonly value: string; readonly untilMs: number } | undefined;
  #fetching: Promise<string | undefined> | undefined;

  constructor(
    transport: RegistryTransport,
    repository: string,
    setting: RegistrySetting,
    mayUsePlainHttp: (host: string) => boolean,
  ) {
    this.#transport = transport;
    this.#repository = repository;
    this.#setting = setting;
    this.#mayUsePlainHttp = mayUsePlainHttp;
  }

  /** What to send with the next request; undefined: nothing, until the registry asks for it. */
  current(): string | undefined {
    return this.#header !== undefined && performance.now() < this.#header.untilMs
      ? this.#header.value
      : undefined;
  }

  /**
   * What to send after the registry has refused `refused`; undefined where there is nothing better. Requests that were
   * refused at once share one token.
   */
  async renew(
    challenge: Challenge,
    refused: string | undefined,
    signal?: AbortSignal,
  ): Promise<string | undefined> {
    const current = this.current();
    if (current !== undefined && current !== refused) return current;
    if (challenge.scheme === 'basic') {
      const basic = this.#basic();
      if (basic === undefined || basic === refused) return undefined;
      this.#header = { value: basic, untilMs: Infinity };
      return basic;
    }
    this.#fetching ??= this.#fetchToken(challenge, signal).finally(() => {
      this.#fetching = undefined;
    });
    return await this.#fetching;
  }

  #basic(): string | undefined {
    const { userName = '', password = '' } = this.#setting;
    if (userName === '' && password === '') return undefined;
    return `Basic ${Buffer.from(`${userName}:${password}`).toString('base64')}`;
  }

  async #fetchToken(
    { realm, service, scope }: Extract<Challenge, { scheme: 'bearer' }>,
    signal: AbortSignal | undefined,
  ): Promise<string> {
    const url = this.#tokenUrl(realm);
    if (service !== undefined) url.searchParams.set('service', service);
    url.searchParams.set('scope', scope ?? `repository:${this.#repository}:pull`);
    const basic = this.#basic();
    const answer = await this.#transport.get({
      url,
      headers: { accept: 'application/json', ...(basic === undefined ? {} : { authorization: basic }) },
      signal,
    });
    const where = `the token server ${url.host}`;
    if (answer.status === 401 || answer.status === 403) {
      answer.body.destroy();
      const who = basic === undefined ? 'anybody without a user name' : 'this user';
      throw new ThawError('IMAGE_ACCESS_DENIED', `${where} gives ${who} no token for ${this.#repository}`);
    }
    if (answer.status !== 200) {
      answer.body.destroy();
      throw new ThawError('REGISTRY_FAILED', `${where} answers with status ${answer.status}`);
    }
    const tooLarge = (): ThawError => new ThawError('REGISTRY_FAILED', `${where} gives a token without end`);
    const { token, lifetimeS } = parseToken(
      await collectBytes(answer.body, TOKEN_BYTES_MAX, tooLarge),
      where,
    );
    const value = `Bearer ${token}`;
    this.#header = { value, untilMs: performance.now() + Math.max(0, lifetimeS * 1000 - MARGIN_MS) };
    return value;
  }

  /** The registry names the server that gets the user's password: not over a wire that anybody reads. */
  #tokenUrl(realm: string): URL {
    const url = URL.canParse(realm) ? new URL(realm) : undefined;
    const isAllowed =
      url?.protocol === 'https:' || (url?.protocol === 'http:' && this.#mayUsePlainHttp(url.host));
    if (url === undefined || !isAllowed) {
      const message = `the registry names a token server ${JSON.stringify(realm.slice(0, 200))} that cannot be asked securely`;
      throw new ThawError('REGISTRY_FAILED', message);
    }
    return url;
  }
}

function parseToken(bytes: Buffer, where: string): { token: string; lifetimeS: number } {
  let parsed: unknown;
  try {
    parsed = JSON.parse(bytes.toString());
  } catch (cause) {
    throw new ThawError('REGISTRY_FAILED', `${where} answers with something that is no JSON`, { cause });
  }
  const given = typeof parsed === 'object' && parsed !== null ? parsed : {};
  const token: unknown = Reflect.get(given, 'token') ?? Reflect.get(given, 'access_token');
  const lifetimeS: unknown = Reflect.get(given, 'expires_in');
  if (typeof token !== 'string' || token === '' || /[^\x21-\x7e]/u.test(token)) {
    throw new ThawError('REGISTRY_FAILED', `${where} gives no token`);
  }
  return { token, lifetimeS: typeof lifetimeS === 'number' ? lifetimeS : LIFETIME_S_DEFAULT };
}
