import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { ObjectInfo, ObjectName, ObjectReader } from '../../store/objects.ts';
import { byteRange, type ByteRange } from './byte-range.ts';
import { readCondition, writeCondition } from './conditions.ts';
import { attributesIn, objectHeaders } from './object-headers.ts';
import { requireAccess } from './s3-caller.ts';
import {
  answerEmpty,
  answerXml,
  causeOf,
  checksumHeaders,
  commonHeaders,
  isoTime,
  receiveBody,
  type S3Request,
} from './s3-request.ts';

export async function putObject(request: S3Request): Promise<void> {
  const { bucket, key, caller, objects, headers } = request;
  requireAccess(caller, 'write', bucket);
  // Before the body, so that a caller with the wrong name or condition need not send it all.
  const check = writeCondition(headers);
  check?.(objects.find({ bucket, key }));
  const attributes = attributesIn(headers);
  const { staged, checksum } = await receiveBody(request, LIMITS.objectPutBytesMax);
  const target = { bucket, key, cause: causeOf(request, 'PutObject'), check };
  const info = await objects.put(target, staged, { ...attributes, checksum });
  answerEmpty(request, 200, ['ETag', `"${info.etag}"`, ...checksumHeaders(checksum)]);
}

export async function copyObject(request: S3Request): Promise<void> {
  const { bucket, key, caller, objects, headers } = request;
  const source = copySource(request);
  requireAccess(caller, 'write', bucket);
  const directive = headers['x-amz-metadata-directive'] ?? 'COPY';
  if (directive !== 'COPY' && directive !== 'REPLACE')
    throw new ThawError('INVALID_ARGUMENT', 'x-amz-metadata-directive must be COPY or REPLACE');
  if (directive === 'COPY' && source.bucket === bucket && source.key === key) {
    throw new ThawError('INVALID_ARGUMENT', 'an object copied onto itself must have its metadata replaced', {
      details: { s3Code: 'InvalidRequest' },
    });
  }
  const info = await objects.copy(
    source,
    { bucket, key, cause: causeOf(request, 'CopyObject'), check: writeCondition(headers) },
    directive === 'COPY' ? undefined : attributesIn(headers),
    (original) => requireCopyCondition(headers, original),
  );
  answerXml(request, 'CopyObjectResult', { LastModified: isoTime(info.modifiedMs), ETag: `"${info.etag}"` });
}

/** GET and HEAD. */
export async function getObject(request: S3Request): Promise<void> {
  const { bucket, key, caller, objects } = request;
  requireAccess(caller, 'read', bucket);
  const reader = objects.open({ bucket, key });
  if (reader === undefined) {
    throw new ThawError('OBJECT_NOT_FOUND', `bucket '${bucket}' holds no object '${key}'`);
  }
  try {
    await answerObject(request, reader);
  } finally {
    reader.close();
  }
}

export async function deleteObject(request: S3Request): Promise<void> {
  const { bucket, key, caller, objects } = request;
  requireAccess(caller, 'write', bucket);
  await objects.delete(bucket, [key], causeOf(request, 'DeleteObject'));
  answerEmpty(request, 204);
}

/** What `x-amz-copy-source` names, which the caller must be able to read. */
export function copySource({ headers, caller }: S3Request): ObjectName {
  const text = (headers['x-amz-copy-source'] ?? '').replace(/^\//, '');
  const [path = '', ...query] = text.split('?');
  const slash = path.indexOf('/');
  if (slash < 1 || slash === path.length - 1 || query.length > 0)
    throw new ThawError('INVALID_ARGUMENT', `x-amz-copy-source must be <bucket>/<key>, not '${text}'`);
  let key: string;
  try {
    key = decodeURIComponent(path.slice(slash + 1));
  } catch (cause) {
    throw new ThawError('INVALID_ARGUMENT', 'x-amz-copy-source is not percent-encoded rightly', { cause });
  }
  const bucket = path.slice(0, slash);
  requireAccess(caller, 'read', bucket);
  return { bucket, key };
}

export function requireCopyCondition(headers: S3Request['headers'], source: ObjectInfo): void {
  if (readCondition(headers, source, 'x-amz-copy-source-') !== 'ok')
    throw new ThawError('PRECONDITION_FAILED', 'the source is not as the copy wants it');
}

async function answerObject(request: S3Request, reader: ObjectReader): Promise<void> {
  const { headers, response, method, requestId } = request;
  const { info } = reader;
  const condition = readCondition(headers, info);
  if (condition === 'failed') throw new ThawError('PRECONDITION_FAILED', 'the object is another by now');
  if (condition === 'not modified') {
    response.writeHead(304, [...commonHeaders(requestId), 'ETag', `"${info.etag}"`]);
    response.end();
    return;
  }
  // A part of another object than the one that the caller has the first part of would be worse than the whole.
  const isSame = headers['if-range'] === undefined || headers['if-range'] === `"${info.etag}"`;
  const range = isSame ? byteRange(headers['range'], info.size) : undefined;
  if (range === 'unsatisfiable') {
    throw new ThawError('INVALID_ARGUMENT', `the range begins behind the ${info.size} bytes of the object`, {
      details: { s3Code: 'InvalidRange', contentRange: `bytes */${info.size}` },
    });
  }
  const { start, end }: ByteRange = range ?? { start: 0, end: info.size };
  response.writeHead(range === undefined ? 200 : 206, [
    ...commonHeaders(requestId),
    ...objectHeaders(request, info, range === undefined),
    'Content-Length',
    String(end - start),
    ...(range === undefined ? [] : ['Content-Range', `bytes ${start}-${end - 1}/${info.size}`]),
  ]);
  if (method === 'HEAD' || start === end) {
    response.end();
    return;
  }
  await pipeline(Readable.from(reader.bytes(start, end)), response);
}
