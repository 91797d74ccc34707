import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { NamedPart, UploadName } from '../../store/objects.ts';
import { byteRange } from './byte-range.ts';
import { writeCondition } from './conditions.ts';
import { attributesIn } from './object-headers.ts';
import { copySource, requireCopyCondition } from './object-operations.ts';
import { requireAccess } from './s3-caller.ts';
import {
  answerEmpty,
  answerXml,
  causeOf,
  checksumHeaders,
  isoTime,
  namedChecksum,
  numberIn,
  receiveBody,
  receiveText,
  type S3Request,
} from './s3-request.ts';
import { elementsOf, parseXml, textOf } from './xml.ts';

const LIST_MAX = 1000;
/** 10,000 parts, each with ETag and checksum. */
const COMPLETE_BODY_BYTES_MAX = 8 * 1024 * 1024;

export function createUpload(request: S3Request): void {
  const { bucket, key, caller, objects, headers } = request;
  requireAccess(caller, 'write', bucket);
  const { uploadId } = objects.uploads.create({ bucket, key }, attributesIn(headers));
  answerXml(request, 'InitiateMultipartUploadResult', { Bucket: bucket, Key: key, UploadId: uploadId });
}

export async function uploadPart(request: S3Request): Promise<void> {
  const { objects } = request;
  const upload = requireUpload(request);
  const { staged, checksum } = await receiveBody(request, LIMITS.objectPutBytesMax);
  const part = await objects.uploads.putPart(upload, partNumber(request), staged, checksum);
  answerEmpty(request, 200, ['ETag', `"${part.etag}"`, ...checksumHeaders(checksum)]);
}

export async function uploadPartCopy(request: S3Request): Promise<void> {
  const { objects, headers } = request;
  const upload = requireUpload(request);
  const source = copySource(request);
  const reader = objects.open(source);
  if (reader === undefined)
    throw new ThawError('OBJECT_NOT_FOUND', `bucket '${source.bucket}' holds no object '${source.key}'`);
  try {
    requireCopyCondition(headers, reader.info);
    const asked = headers['x-amz-copy-source-range'];
    const range = byteRange(asked, reader.info.size);
    if (asked !== undefined && (range === undefined || range === 'unsatisfiable'))
      throw new ThawError('INVALID_ARGUMENT', 'x-amz-copy-source-range must be bytes of the source');
    const { start, end } =
      range === undefined || range === 'unsatisfiable' ? { start: 0, end: reader.info.size } : range;
    const staged = await objects.stage(reader.bytes(start, end), LIMITS.objectPutBytesMax);
    const part = await objects.uploads.putPart(upload, partNumber(request), staged, undefined);
    answerXml(request, 'CopyPartResult', { LastModified: isoTime(part.modifiedMs), ETag: `"${part.etag}"` });
  } finally {
    reader.close();
  }
}

export async function completeUpload(request: S3Request): Promise<void> {
  const { bucket, key, objects, headers, http } = request;
  requireAccess(request.caller, 'write', bucket);
  const body = parseXml(await receiveText(request, COMPLETE_BODY_BYTES_MAX), 'CompleteMultipartUpload');
  const parts = elementsOf(body, 'Part').map(partIn);
  const target = {
    bucket,
    key,
    cause: causeOf(request, 'CompleteMultipartUpload'),
    check: writeCondition(headers),
  };
  const info = await objects.uploads.complete(uploadOf(request), parts, target);
  const { host = '' } = http.headers;
  answerXml(request, 'CompleteMultipartUploadResult', {
    Location: `http://${host}/${bucket}/${encodeURIComponent(key)}`,
    Bucket: bucket,
    Key: key,
    ETag: `"${info.etag}"`,
  });
}

export function abortUpload(request: S3Request): void {
  requireAccess(request.caller, 'write', request.bucket);
  request.objects.uploads.abort(uploadOf(request));
  answerEmpty(request, 204);
}

export function listParts(request: S3Request): void {
  const { bucket, key, caller, objects, query } = request;
  requireAccess(caller, 'read', bucket);
  const upload = uploadOf(request);
  const marker = numberIn(query, 'part-number-marker', 0, LIMITS.partsMax);
  const limit = numberIn(query, 'max-parts', LIST_MAX, LIST_MAX);
  const { items, isTruncated } = objects.uploads.listParts(upload, marker, limit);
  answerXml(request, 'ListPartsResult', {
    Bucket: bucket,
    Key: key,
    UploadId: upload.uploadId,
    PartNumberMarker: marker,
    NextPartNumberMarker: items.at(-1)?.number ?? marker,
    MaxParts: limit,
    IsTruncated: isTruncated,
    StorageClass: 'STANDARD',
    Part: items.map(({ number, size, etag, modifiedMs, checksum }) => ({
      PartNumber: number,
      LastModified: isoTime(modifiedMs),
      ETag: `"${etag}"`,
      Size: size,
      ...(checksum === undefined ? {} : { [`Checksum${checksum.algorithm}`]: checksum.value }),
    })),
  });
}

export function listUploads(request: S3Request): void {
  const { bucket, caller, objects, query } = request;
  requireAccess(caller, 'read', bucket);
  const prefix = query.get('prefix') ?? '';
  const afterKey = query.get('key-marker') ?? '';
  // Without an id all uploads of the key are behind it: no id is longer, and none has such a character.
  const afterUploadId = query.get('upload-id-marker') ?? (afterKey === '' ? '' : '~');
  const limit = numberIn(query, 'max-uploads', LIST_MAX, LIST_MAX);
  const { items, isTruncated } = objects.uploads.list(bucket, { prefix, afterKey, afterUploadId, limit });
  const last = items.at(-1);
  answerXml(request, 'ListMultipartUploadsResult', {
    Bucket: bucket,
    KeyMarker: afterKey,
    UploadIdMarker: query.get('upload-id-marker') ?? '',
    ...(last === undefined ? {} : { NextKeyMarker: last.key, NextUploadIdMarker: last.uploadId }),
    Prefix: prefix,
    MaxUploads: limit,
    IsTruncated: isTruncated,
    Upload: items.map(({ key, uploadId, createdMs }) => ({
      Key: key,
      UploadId: uploadId,
      StorageClass: 'STANDARD',
      Initiated: isoTime(createdMs),
    })),
  });
}

/** Before a body is read for it: throws UPLOAD_NOT_FOUND, ACCESS_DENIED. */
function requireUpload(request: S3Request): UploadName {
  requireAccess(request.caller, 'write', request.bucket);
  const upload = uploadOf(request);
  request.objects.uploads.find(upload);
  partNumber(request);
  return upload;
}

function uploadOf({ bucket, key, query }: S3Request): UploadName {
  return { bucket, key, uploadId: query.get('uploadId') ?? '' };
}

function partNumber({ query }: S3Request): number {
  const number = Number(query.get('partNumber'));
  if (Number.isInteger(number) && number >= 1 && number <= LIMITS.partsMax) return number;
  throw new ThawError('INVALID_ARGUMENT', `partNumber must be a whole number from 1 to ${LIMITS.partsMax}`);
}

function partIn(element: Readonly<Record<string, unknown>>): NamedPart {
  return {
    number: Number(textOf(element, 'PartNumber')),
    etag: (textOf(element, 'ETag') ?? '').trim().replaceAll('"', ''),
    checksum: namedChecksum((algorithm) => textOf(element, `Checksum${algorithm}`)),
  };
}
