import type { ErrorCode } from '@thaw/protocol/error-code.ts';
import type { ThawError } from '@thaw/protocol/thaw-error.ts';
import { xml } from './xml.ts';

/** S3's names for our codes; where one code stands for several of S3's, `details.s3Code` says which. */
const CODES: Partial<Record<ErrorCode, string>> = {
  INVALID_ARGUMENT: 'InvalidArgument',
  BODY_TRUNCATED: 'IncompleteBody',
  CHECKSUM_MISMATCH: 'BadDigest',
  PAYLOAD_TOO_LARGE: 'EntityTooLarge',
  PATH_NOT_SUPPORTED: 'NotImplemented',
  METHOD_NOT_ALLOWED: 'MethodNotAllowed',
  LIMIT_EXCEEDED: 'LimitExceeded',
  SIGNATURE_MISSING: 'AccessDenied',
  SIGNATURE_INVALID: 'SignatureDoesNotMatch',
  ACCESS_KEY_UNKNOWN: 'InvalidAccessKeyId',
  REQUEST_EXPIRED: 'RequestTimeTooSkewed',
  ACCESS_DENIED: 'AccessDenied',
  BUCKET_NOT_FOUND: 'NoSuchBucket',
  OBJECT_NOT_FOUND: 'NoSuchKey',
  UPLOAD_NOT_FOUND: 'NoSuchUpload',
  BUCKET_EXISTS: 'BucketAlreadyOwnedByYou',
  IN_USE: 'BucketNotEmpty',
  PRECONDITION_FAILED: 'PreconditionFailed',
  QUEUE_FULL: 'SlowDown',
  STORE_FAILED: 'ServiceUnavailable',
  SHUTTING_DOWN: 'ServiceUnavailable',
};

/** Where S3's status is another than ours. */
const STATUSES: Readonly<Record<string, number>> = {
  EntityTooLarge: 400,
  InvalidRange: 416,
  NotImplemented: 501,
  SlowDown: 503,
};

export interface S3ErrorAnswer {
  readonly status: number;
  readonly code: string;
  readonly body: Buffer;
}

export function s3ErrorAnswer(error: ThawError, resource: string, requestId: string): S3ErrorAnswer {
  const named = error.details['s3Code'];
  const code = typeof named === 'string' ? named : (CODES[error.code] ?? 'InternalError');
  const body = xml('Error', {
    Code: code,
    Message: error.message,
    Resource: resource,
    RequestId: requestId,
  });
  return { status: STATUSES[code] ?? error.status, code, body };
}
