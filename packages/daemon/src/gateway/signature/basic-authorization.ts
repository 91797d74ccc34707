import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { AccessKeys } from './access-keys.ts';
import { isEqualText } from './equal-text.ts';

const SCHEME = 'Basic ';

/** HTTP Basic (RFC 7617) with an access key as user and password, for callers that cannot sign. */
export function isBasic(authorization: string | undefined): boolean {
  return authorization?.startsWith(SCHEME) === true;
}

/** The id of the access key that the header shows, or undefined unless it shows one and its secret. */
export function basicAccessKey(keys: AccessKeys, authorization: string | undefined): string | undefined {
  if (authorization === undefined || !isBasic(authorization)) return undefined;
  const [id = '', ...rest] = Buffer.from(authorization.slice(SCHEME.length), 'base64')
    .toString('utf8')
    .split(':');
  const secret = keys.secretOf(id);
  return secret !== undefined && isEqualText(rest.join(':'), secret) ? id : undefined;
}

/** Throws ACCESS_KEY_UNKNOWN, which tells nobody whether the id or the secret was wrong. */
export function accessKeyOf(keys: AccessKeys, authorization: string | undefined): string {
  const id = basicAccessKey(keys, authorization);
  if (id === undefined) {
    throw new ThawError('ACCESS_KEY_UNKNOWN', 'user and password are not an access key and its secret');
  }
  return id;
}
