import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { ListedObject } from '../../store/objects.ts';
import { requireAccess, requireOwner } from './s3-caller.ts';
import {
  answerEmpty,
  answerXml,
  causeOf,
  isoTime,
  numberIn,
  receiveText,
  type S3Request,
} from './s3-request.ts';
import { elementsOf, parseXml, textOf } from './xml.ts';

const LIST_MAX = 1000;
const DELETE_MAX = 1000;
const DELETE_BODY_BYTES_MAX = 4 * 1024 * 1024;
const OWNER = { ID: 'thaw', DisplayName: 'thaw' };

export function listBuckets(request: S3Request): void {
  const { objects, caller } = request;
  const buckets = objects.listBuckets().filter(({ name }) => caller.may('read', name));
  answerXml(request, 'ListAllMyBucketsResult', {
    Owner: OWNER,
    Buckets: {
      Bucket: buckets.map(({ name, createdMs }) => ({ Name: name, CreationDate: isoTime(createdMs) })),
    },
  });
}

/** A function may make a bucket that it was granted: whoever granted it meant it to be there. */
export async function createBucket(request: S3Request): Promise<void> {
  const { bucket, caller, objects } = request;
  requireAccess(caller, 'write', bucket);
  // Where it should be made: there is one place.
  await receiveText(request, LIMITS.controlBodyBytesMax);
  objects.createBucket(bucket);
  answerEmpty(request, 200, ['Location', `/${bucket}`]);
}

export function headBucket(request: S3Request): void {
  requireBucket(request);
  answerEmpty(request, 200, ['x-amz-bucket-region', 'us-east-1']);
}

export function deleteBucket(request: S3Request): void {
  requireOwner(request.caller, 'delete buckets');
  request.objects.deleteBucket(request.bucket);
  answerEmpty(request, 204);
}

/** What S3 says of a bucket that has the setting never made. */
export function bucketLocation(request: S3Request): void {
  requireBucket(request);
  answerXml(request, 'LocationConstraint', {});
}

export function bucketVersioning(request: S3Request): void {
  requireBucket(request);
  answerXml(request, 'VersioningConfiguration', {});
}

export function listObjectsV2(request: S3Request): void {
  const { bucket, query } = request;
  const token = query.get('continuation-token');
  const after = token === null ? (query.get('start-after') ?? '') : fromToken(token);
  const { page, spelled, asked } = listed(request, after);
  const { objects, prefixes, next } = page;
  answerXml(request, 'ListBucketResult', {
    Name: bucket,
    ...asked,
    KeyCount: objects.length + prefixes.length,
    IsTruncated: next !== undefined,
    ...(token === null ? {} : { ContinuationToken: token }),
    ...(next === undefined ? {} : { NextContinuationToken: toToken(next) }),
    ...(query.has('start-after') ? { StartAfter: spelled(query.get('start-after') ?? '') } : {}),
    Contents: objects.map((each) => content(each, spelled, query.get('fetch-owner') === 'true')),
    CommonPrefixes: prefixes.map((prefix) => ({ Prefix: spelled(prefix) })),
  });
}

export function listObjectsV1(request: S3Request): void {
  const { bucket, query } = request;
  const marker = query.get('marker') ?? '';
  const { page, spelled, asked } = listed(request, marker);
  answerXml(request, 'ListBucketResult', {
    Name: bucket,
    ...asked,
    Marker: spelled(marker),
    IsTruncated: page.next !== undefined,
    ...(page.next === undefined ? {} : { NextMarker: spelled(page.next) }),
    Contents: page.objects.map((each) => content(each, spelled, true)),
    CommonPrefixes: page.prefixes.map((prefix) => ({ Prefix: spelled(prefix) })),
  });
}

export async function deleteObjects(request: S3Request): Promise<void> {
  const { bucket, caller, objects } = request;
  requireAccess(caller, 'write', bucket);
  const body = parseXml(await receiveText(request, DELETE_BODY_BYTES_MAX), 'Delete');
  const keys = elementsOf(body, 'Object').map((element) => textOf(element, 'Key') ?? '');
  if (keys.length === 0 || keys.length > DELETE_MAX) {
    throw new ThawError('INVALID_ARGUMENT', `a call deletes 1 to ${DELETE_MAX} objects`, {
      details: { s3Code: 'MalformedXML' },
    });
  }
  await objects.delete(bucket, keys, causeOf(request, 'DeleteObjects'));
  const isQuiet = textOf(body, 'Quiet') === 'true';
  // One that was not there is deleted too.
  answerXml(request, 'DeleteResult', isQuiet ? {} : { Deleted: keys.map((Key) => ({ Key })) });
}

function requireBucket({ bucket, caller, objects }: S3Request): void {
  requireAccess(caller, 'read', bucket);
  if (objects.findBucket(bucket) === undefined) {
    throw new ThawError('BUCKET_NOT_FOUND', `bucket '${bucket}' does not exist`, { details: { bucket } });
  }
}

function listed(request: S3Request, after: string) {
  const { bucket, caller, objects, query } = request;
  requireAccess(caller, 'read', bucket);
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const limit = numberIn(query, 'max-keys', LIST_MAX, LIST_MAX);
  const isUrlEncoded = query.get('encoding-type') === 'url';
  const spelled = (text: string): string =>
    isUrlEncoded ? encodeURIComponent(text).replaceAll('%2F', '/') : text;
  const page = objects.list(bucket, { prefix, delimiter, after, limit });
  const asked = {
    Prefix: spelled(prefix),
    ...(delimiter === '' ? {} : { Delimiter: spelled(delimiter) }),
    MaxKeys: limit,
    ...(isUrlEncoded ? { EncodingType: 'url' } : {}),
  };
  return { page, spelled, asked };
}

function content(
  { key, size, etag, modifiedMs }: ListedObject,
  spelled: (text: string) => string,
  withOwner: boolean,
): object {
  return {
    Key: spelled(key),
    LastModified: isoTime(modifiedMs),
    ETag: `"${etag}"`,
    Size: size,
    StorageClass: 'STANDARD',
    ...(withOwner ? { Owner: OWNER } : {}),
  };
}

function toToken(key: string): string {
  return Buffer.from(key).toString('base64url');
}

function fromToken(token: string): string {
  const key = Buffer.from(token, 'base64url').toString('utf8');
  if (key !== '' && toToken(key) === token) return key;
  throw new ThawError('INVALID_ARGUMENT', 'the continuation token is not one of this platform');
}
