import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import type { CodeLocation } from '@thaw/protocol/fc/code.ts';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { NewCode } from '../../catalog/code-intake.ts';
import type { CodeRef } from '../../model/function.ts';
import { newUploadGrant, verifyUpload } from '../../gateway/signature/upload-grant.ts';
import type { ControlRequest, ControlResponse } from './control-request.ts';
import { publicUrlOf, type FcDeps } from './fc-deps.ts';
import { decodeBase64 } from './request-body.ts';

/** The one bucket that uploads go to; it exists by name only. */
const UPLOAD_BUCKET = 'thaw-uploads';
export const CODE_OBJECTS_PATH = '/2023-03-30/code-objects/';
/** How long the URL of GetFunctionCode works. */
export const CODE_URL_LIFETIME_MS = 10 * 60 * 1000;
const TOKEN_PURPOSE = 'code download';

/** Where a client can download code: whoever holds the URL needs no key, for a while. */
export function codeUrl(deps: FcDeps, request: ControlRequest, code: CodeRef): string {
  const token = deps.tokens.sign(TOKEN_PURPOSE, code.zipDigest, CODE_URL_LIFETIME_MS);
  return `${publicUrlOf(deps, request)}${CODE_OBJECTS_PATH}${token}`;
}

/** Answers such a URL. Throws ACCESS_DENIED or METHOD_NOT_ALLOWED. */
export async function downloadCode(deps: FcDeps, request: ControlRequest): Promise<ControlResponse> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    throw new ThawError('METHOD_NOT_ALLOWED', `'${request.method}' against a code object is not supported`);
  }
  const digest = deps.tokens.open(TOKEN_PURPOSE, request.path.slice(CODE_OBJECTS_PATH.length));
  const path = digest === undefined ? undefined : deps.zipPath(digest);
  if (path === undefined) {
    throw new ThawError(
      'ACCESS_DENIED',
      'this download URL is not valid any more; GetFunctionCode gives a new one',
    );
  }
  const { size } = await stat(path);
  return {
    status: 200,
    headers: {
      'content-type': 'application/zip',
      'content-length': String(size),
      'x-fc-request-id': request.requestId,
    },
    body: request.method === 'HEAD' ? '' : createReadStream(path),
  };
}

/**
 * Runs a change with the code that its request brings. A stream that the change did not read to its end is closed.
 */
export async function withNewCode<T>(
  deps: FcDeps,
  location: CodeLocation,
  change: (code: NewCode) => Promise<T>,
): Promise<T> {
  const code = await openCode(deps, location);
  try {
    return await change(code);
  } finally {
    if (code.zip instanceof Readable) code.zip.destroy();
  }
}

async function openCode(deps: FcDeps, location: CodeLocation): Promise<NewCode> {
  const { zipFile = '', ossBucketName = UPLOAD_BUCKET, ossObjectName = '', checksum } = location;
  if (zipFile !== '') {
    const zip = decodeBase64(zipFile, 'code.zipFile');
    return { zip, checksum, bytesMax: LIMITS.codeZipBytesMax };
  }
  if (ossBucketName !== '' && ossBucketName !== UPLOAD_BUCKET) {
    throw new ThawError(
      'INVALID_ARGUMENT',
      `code.ossBucketName must be '${UPLOAD_BUCKET}': only objects uploaded to this platform can be used`,
      { details: { field: 'code.ossBucketName' } },
    );
  }
  return { zip: await deps.uploads.read(ossObjectName), checksum, bytesMax: LIMITS.codeObjectBytesMax };
}

/** `GET /2016-08-15/tempBucketToken`: temporary credentials to upload one zip with. */
export function tempBucketToken(deps: FcDeps, request: ControlRequest): ControlResponse {
  const grant = newUploadGrant(deps.tokens, deps.clock);
  const { region } = deps.catalog.place;
  return {
    status: 200,
    headers: { 'content-type': 'application/json', 'x-fc-request-id': request.requestId },
    body: JSON.stringify({
      credentials: {
        AccessKeyId: grant.accessKeyId,
        AccessKeySecret: grant.accessKeySecret,
        SecurityToken: grant.securityToken,
        Expiration: grant.expiration,
      },
      ossRegion: region,
      ossBucket: UPLOAD_BUCKET,
      objectName: grant.objectName,
    }),
  };
}

/** `PUT /{accountId}/{objectName}` as OSS clients send it. The bytes go to disk as they come. */
export async function uploadObject(deps: FcDeps, request: ControlRequest): Promise<ControlResponse> {
  const { catalog, tokens, clock, uploads } = deps;
  const place = { bucket: UPLOAD_BUCKET, accountId: catalog.place.accountId };
  const objectName = verifyUpload(request, place, tokens, clock);
  if (Number(request.headers['content-length'] ?? 0) > LIMITS.codeObjectBytesMax) {
    throw new ThawError('PAYLOAD_TOO_LARGE', `the upload is larger than ${LIMITS.codeObjectBytesMax} bytes`);
  }
  const md5 = await uploads.put(objectName, request.body);
  return {
    status: 200,
    headers: {
      etag: `"${md5}"`,
      'x-oss-request-id': request.requestId,
      'x-fc-request-id': request.requestId,
      'content-length': '0',
    },
    body: '',
  };
}
