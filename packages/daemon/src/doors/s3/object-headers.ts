import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { ObjectAttributes, ObjectInfo } from '../../store/objects.ts';
import { checksumHeaders, type S3Request } from './s3-request.ts';

/** Headers that an object is stored with and given back with. */
const KEPT = [
  'content-type',
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'expires',
] as const;
const USER_PREFIX = 'x-amz-meta-';
/** S3's bound on user metadata. */
const USER_METADATA_BYTES_MAX = 2 * 1024;

/** What a client would believe to hold when it was only dropped. */
const NOT_SUPPORTED = [
  'x-amz-server-side-encryption-customer-algorithm',
  'x-amz-server-side-encryption-aws-kms-key-id',
  'x-amz-tagging',
  'x-amz-object-lock-mode',
  'x-amz-object-lock-legal-hold',
  'x-amz-write-offset-bytes',
];

/** Throws INVALID_ARGUMENT, PATH_NOT_SUPPORTED. */
export function attributesIn(requested: S3Request['headers']): ObjectAttributes {
  for (const name of NOT_SUPPORTED) {
    if (requested[name] !== undefined) throw new ThawError('PATH_NOT_SUPPORTED', `${name} is not supported`);
  }
  const headers: Record<string, string> = {};
  for (const name of KEPT) {
    const value = name === 'content-encoding' ? ownEncoding(requested[name]) : requested[name];
    if (value !== undefined && value !== '') headers[name] = value;
  }
  const userMetadata: Record<string, string> = {};
  let bytes = 0;
  for (const [name, value] of Object.entries(requested)) {
    if (!name.startsWith(USER_PREFIX)) continue;
    const own = name.slice(USER_PREFIX.length);
    bytes += own.length + Buffer.byteLength(value, 'latin1');
    userMetadata[own] = value;
  }
  if (bytes > USER_METADATA_BYTES_MAX) {
    throw new ThawError('INVALID_ARGUMENT', `the metadata has more than ${USER_METADATA_BYTES_MAX} bytes`, {
      details: { s3Code: 'MetadataTooLarge' },
    });
  }
  return { headers, userMetadata };
}

export function objectHeaders({ query, headers }: S3Request, info: ObjectInfo, isWhole: boolean): string[] {
  const { attributes, etag, modifiedMs } = info;
  const answer = [
    'ETag',
    `"${etag}"`,
    'Last-Modified',
    new Date(modifiedMs).toUTCString(),
    'Accept-Ranges',
    'bytes',
    // What users store must not act in the platform's own name where a browser shows it.
    'Content-Security-Policy',
    'sandbox',
    'X-Content-Type-Options',
    'nosniff',
  ];
  for (const name of KEPT) {
    const value = query.get(`response-${name}`) ?? attributes.headers[name];
    if (value !== undefined) answer.push(name, headerSafe(value));
    else if (name === 'content-type') answer.push(name, 'binary/octet-stream');
  }
  for (const [name, value] of Object.entries(attributes.userMetadata))
    answer.push(`${USER_PREFIX}${name}`, value);
  if (isWhole && headers['x-amz-checksum-mode']?.toUpperCase() === 'ENABLED')
    answer.push(...checksumHeaders(attributes.checksum));
  return answer;
}

/** Without `aws-chunked`, which is how the body came and not what it is. */
function ownEncoding(encoding: string | undefined): string | undefined {
  return encoding
    ?.split(',')
    .map((part) => part.trim())
    .filter((part) => part !== 'aws-chunked')
    .join(', ');
}

/** Throws INVALID_ARGUMENT. */
function headerSafe(value: string): string {
  if (!/[^\t\x20-\x7e\x80-\xff]/.test(value)) return value;
  throw new ThawError('INVALID_ARGUMENT', 'a response- parameter holds what no header may hold');
}
