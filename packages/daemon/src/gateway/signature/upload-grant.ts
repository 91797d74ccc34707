import { createHmac, randomBytes } from 'node:crypto';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../../base/clock.ts';
import { isEqualText } from './equal-text.ts';
import { parseKeyedSignature } from './fc-signature.ts';
import type { SignedRequest } from './signed-request.ts';
import type { SignedTokens } from './signed-token.ts';

export const UPLOAD_GRANT_LIFETIME_MS = 30 * 60 * 1000;
const UPLOAD_METHOD = 'PUT';

/** Temporary credentials with which one object can be uploaded, OSS-style, and nothing else be done. */
export interface UploadGrant {
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
  readonly securityToken: string;
  /** ISO 8601. */
  readonly expiration: string;
  /** The only name that may be uploaded, below the account's own prefix. */
  readonly objectName: string;
}

export interface UploadPlace {
  readonly bucket: string;
  readonly accountId: string;
}

export function newUploadGrant(tokens: SignedTokens, clock: Clock): UploadGrant {
  const objectName = `code-${randomBytes(16).toString('hex')}.zip`;
  const accessKeyId = `STS.${objectName}`;
  return {
    accessKeyId,
    accessKeySecret: tokens.derive('upload secret', accessKeyId),
    securityToken: tokens.sign('upload', objectName, UPLOAD_GRANT_LIFETIME_MS),
    expiration: new Date(clock.now() + UPLOAD_GRANT_LIFETIME_MS).toISOString(),
    objectName,
  };
}

/**
 * Checks `PUT /{accountId}/{objectName}` signed as `OSS <id>:<signature>` with a grant, and gives the object's name as
 * `code.ossObjectName` will spell it. The signature covers head and path; the zip is checked when it is used.
 */
export function verifyUpload(
  request: SignedRequest,
  place: UploadPlace,
  tokens: SignedTokens,
  clock: Clock,
): string {
  const authorization = parseKeyedSignature('OSS ', request.headers['authorization'] ?? '');
  if (authorization === undefined) {
    throw new ThawError('SIGNATURE_MISSING', 'required HTTP header Authorization was not specified');
  }
  const objectName = tokens.open('upload', request.headers['x-oss-security-token'] ?? '');
  if (objectName === undefined || authorization.accessKeyId !== `STS.${objectName}`) {
    throw new ThawError('ACCESS_KEY_UNKNOWN', `invalid access key ID '${authorization.accessKeyId}'`);
  }
  const path = `/${place.accountId}/${objectName}`;
  if (request.method !== UPLOAD_METHOD || request.path !== path) {
    throw new ThawError('ACCESS_DENIED', `these credentials are good for PUT ${path} only`);
  }
  const date = request.headers['x-oss-date'] ?? request.headers['date'] ?? '';
  if (!(Math.abs(clock.now() - Date.parse(date)) <= LIMITS.clockSkewMs)) {
    throw new ThawError('REQUEST_EXPIRED', `the upload's date '${date}' is not the present one`);
  }
  const secret = tokens.derive('upload secret', authorization.accessKeyId);
  // With an IP address as endpoint the client leaves the bucket out of the path but not out of what it signs.
  for (const resource of [`/${place.bucket}${path}`, path]) {
    const text = `${UPLOAD_METHOD}\n${request.headers['content-md5'] ?? ''}\n${request.headers['content-type'] ?? ''}\n${date}\n${ossHeaders(request)}${resource}`;
    const expected = createHmac('sha1', secret).update(text, 'latin1').digest('base64');
    if (isEqualText(authorization.signature, expected)) return path.slice(1);
  }
  throw new ThawError(
    'SIGNATURE_INVALID',
    'The request signature we calculated does not match the signature you provided. Check your access key and signing method',
  );
}

function ossHeaders(request: SignedRequest): string {
  let text = '';
  for (const name of Object.keys(request.headers).toSorted()) {
    if (name.startsWith('x-oss-')) text += `${name}:${(request.headers[name] ?? '').trim()}\n`;
  }
  return text;
}
