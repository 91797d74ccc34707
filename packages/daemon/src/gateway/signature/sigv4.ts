import { createHmac, hash } from 'node:crypto';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { isEqualText } from './equal-text.ts';
import type { SignedRequest } from './signed-request.ts';

const ALGORITHM = 'AWS4-HMAC-SHA256';
const PRESIGNED_S_MAX = 7 * 24 * 3600;
export const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD';

/** What a request says of its signature (AWS Signature Version 4, in the header or in the query). */
export interface SigV4Claim {
  readonly accessKeyId: string;
  /** Empty for a key that is no temporary one. */
  readonly securityToken: string;
  /** `<day>/<region>/<service>/aws4_request`. */
  readonly scope: string;
  /** `20260110T120000Z`. */
  readonly date: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  /** Hex SHA-256 of the body, or how the body is signed. */
  readonly payload: string;
  readonly isPresigned: boolean;
}

/** Throws SIGNATURE_MISSING, SIGNATURE_INVALID, REQUEST_EXPIRED. Whose the signature is, `verifySigV4` finds out. */
export function readSigV4(request: SignedRequest, nowMs: number): SigV4Claim {
  const authorization = request.headers['authorization'];
  const claim =
    authorization === undefined ? readQuery(request, nowMs) : readHeader(request, authorization, nowMs);
  if (!claim.signedHeaders.includes('host')) throw malformed('the signature must cover the header host');
  for (const name of Object.keys(request.headers)) {
    // Whatever changes the meaning of the request must come from who signed it.
    if (name.startsWith('x-amz-') && name !== 'x-amz-content-sha256' && !claim.signedHeaders.includes(name))
      throw malformed(`the signature must cover the header ${name}`);
  }
  return claim;
}

/** Gives the key that also signs the chunks of a body. Throws SIGNATURE_INVALID. */
export function verifySigV4(request: SignedRequest, claim: SigV4Claim, secret: string): Buffer {
  const key = signingKey(secret, claim.scope);
  for (const path of [request.path, encodedAnew(request.path)]) {
    const canonical = canonicalRequest(request, claim, path);
    const text = `${ALGORITHM}\n${claim.date}\n${claim.scope}\n${hash('sha256', canonical)}`;
    if (isEqualText(hmac(key, text).toString('hex'), claim.signature)) return key;
  }
  throw new ThawError(
    'SIGNATURE_INVALID',
    'the signature is not that of this request under this key: check the secret, the clock and what changes requests on the way',
  );
}

function readHeader(request: SignedRequest, authorization: string, nowMs: number): SigV4Claim {
  if (!authorization.startsWith(`${ALGORITHM} `)) throw malformed(`Authorization must be ${ALGORITHM}`);
  const fields = new Map<string, string>();
  for (const field of authorization.slice(ALGORITHM.length + 1).split(',')) {
    const [name = '', ...value] = field.trim().split('=');
    fields.set(name, value.join('='));
  }
  const date = request.headers['x-amz-date'] ?? '';
  const credential = credentialOf(fields.get('Credential') ?? '', date);
  if (Math.abs(nowMs - timeOf(date)) > LIMITS.clockSkewMs) {
    throw new ThawError(
      'REQUEST_EXPIRED',
      'the request was signed too long ago, or in the future: check the clock',
    );
  }
  return {
    ...credential,
    securityToken: request.headers['x-amz-security-token'] ?? '',
    date,
    signedHeaders: (fields.get('SignedHeaders') ?? '').split(';'),
    signature: fields.get('Signature') ?? '',
    payload: request.headers['x-amz-content-sha256'] ?? UNSIGNED_PAYLOAD,
    isPresigned: false,
  };
}

function readQuery({ query, headers }: SignedRequest, nowMs: number): SigV4Claim {
  const parameters = new URLSearchParams(query);
  const get = (name: string): string => parameters.get(`X-Amz-${name}`) ?? '';
  if (get('Algorithm') === '') throw new ThawError('SIGNATURE_MISSING', 'the request is not signed');
  if (get('Algorithm') !== ALGORITHM) throw malformed(`X-Amz-Algorithm must be ${ALGORITHM}`);
  const date = get('Date');
  const credential = credentialOf(get('Credential'), date);
  const expiresS = Number(get('Expires'));
  if (!Number.isInteger(expiresS) || expiresS < 1 || expiresS > PRESIGNED_S_MAX)
    throw malformed(`X-Amz-Expires must be a number of seconds from 1 to ${PRESIGNED_S_MAX}`);
  const ageMs = nowMs - timeOf(date);
  if (ageMs > expiresS * 1000 || ageMs < -LIMITS.clockSkewMs) {
    throw new ThawError('REQUEST_EXPIRED', 'the signed address has expired', {
      details: { s3Code: 'AccessDenied' },
    });
  }
  return {
    ...credential,
    securityToken: get('Security-Token'),
    date,
    signedHeaders: get('SignedHeaders').split(';'),
    signature: get('Signature'),
    payload: headers['x-amz-content-sha256'] ?? parameters.get('X-Amz-Content-Sha256') ?? UNSIGNED_PAYLOAD,
    isPresigned: true,
  };
}

function credentialOf(text: string, date: string): Pick<SigV4Claim, 'accessKeyId' | 'scope'> {
  const parts = text.split('/');
  const [day = '', region = '', service = '', end = ''] = parts.slice(-4);
  const isWhole = parts.length >= 5 && region !== '' && end === 'aws4_request';
  if (!isWhole || service !== 's3' || !date.startsWith(`${day}T`))
    throw malformed('the credential must be <key>/<day>/<region>/s3/aws4_request, of the day of the date');
  return { accessKeyId: parts.slice(0, -4).join('/'), scope: parts.slice(-4).join('/') };
}

function timeOf(date: string): number {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date);
  const time =
    match === null ? NaN : Date.parse(date.replace(/^(.{4})(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  if (Number.isNaN(time)) throw malformed('the signature needs a date like 20260110T120000Z');
  return time;
}

function canonicalRequest(
  { method, query, headers }: SignedRequest,
  claim: SigV4Claim,
  path: string,
): string {
  const { signedHeaders } = claim;
  const lines = signedHeaders.map(
    (name) => `${name}:${(headers[name] ?? '').trim().replaceAll(/ +/g, ' ')}\n`,
  );
  return [method, path, canonicalQuery(query), lines.join(''), signedHeaders.join(';'), claim.payload].join(
    '\n',
  );
}

function canonicalQuery(query: string): string {
  const pairs: [string, string][] = [];
  for (const part of query === '' ? [] : query.split('&')) {
    const at = part.indexOf('=');
    const name = at === -1 ? part : part.slice(0, at);
    if (name === 'X-Amz-Signature') continue;
    pairs.push([encodedAnew(name, true), at === -1 ? '' : encodedAnew(part.slice(at + 1), true)]);
  }
  const sorted = pairs.toSorted(([a, x], [b, y]) => (a === b ? order(x, y) : order(a, b)));
  return sorted.map(([name, value]) => `${name}=${value}`).join('&');
}

function order(one: string, other: string): number {
  return one < other ? -1 : Number(one > other);
}

/** Percent-encoded as AWS writes it, whatever the client left as it is. */
function encodedAnew(text: string, isQuery = false): string {
  let plain: string;
  try {
    plain = decodeURIComponent(text);
  } catch {
    return text;
  }
  const encoded = encodeURIComponent(plain).replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return isQuery ? encoded : encoded.replaceAll('%2F', '/');
}

function signingKey(secret: string, scope: string): Buffer {
  const parts = scope.split('/');
  return parts.reduce<Buffer>((key, part) => hmac(key, part), Buffer.from(`AWS4${secret}`));
}

export function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

function malformed(message: string): ThawError {
  return new ThawError('SIGNATURE_INVALID', message, { details: { s3Code: 'AuthorizationHeaderMalformed' } });
}
