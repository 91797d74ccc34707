import type { IncomingMessage, ServerResponse } from 'node:http';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { diskProblem } from '../../base/disk-problem.ts';
import type { Clock } from '../../base/clock.ts';
import type { Arrival, Door } from '../../gateway/door.ts';
import { endAnswer } from '../../gateway/end-answer.ts';
import { plainHeaders } from '../../gateway/plain-headers.ts';
import type { Objects } from '../../store/objects.ts';
import * as buckets from './bucket-operations.ts';
import * as uploads from './multipart-operations.ts';
import * as single from './object-operations.ts';
import { authenticate, type S3Keys } from './s3-caller.ts';
import { s3ErrorAnswer } from './s3-error.ts';
import { commonHeaders, type S3Request } from './s3-request.ts';

export interface S3DoorDeps {
  readonly objects: Objects;
  readonly keys: S3Keys;
  readonly clock: Clock;
  readonly onPlatformError: (error: ThawError, requestId: string) => void;
}

export const S3_PREFIX = '/s3';

type Operation = (request: S3Request) => void | Promise<void>;

/**
 * The part of S3's API that its clients need, path style: the endpoint is `<platform>/s3`, so a bucket is at
 * `/s3/<bucket>` and an object behind it. Signed with Signature Version 4, whose path is the whole one.
 */
export class S3Door implements Door {
  readonly #deps: S3DoorDeps;

  constructor(deps: S3DoorDeps) {
    this.#deps = deps;
  }

  owns(_method: string, path: string): boolean {
    return path.startsWith(S3_PREFIX) && (path.length === S3_PREFIX.length || path[S3_PREFIX.length] === '/');
  }

  handle(request: IncomingMessage, response: ServerResponse, arrival: Arrival): void {
    this.#serve(request, response, arrival).catch((error: unknown) => {
      this.#answerError(response, arrival, ThawError.from(error, 'serving the object store'));
    });
  }

  async #serve(http: IncomingMessage, response: ServerResponse, arrival: Arrival): Promise<void> {
    const { objects, keys, clock } = this.#deps;
    const { path, query, requestId, from } = arrival;
    const method = http.method ?? 'GET';
    const headers = plainHeaders(http);
    const authentication = authenticate(keys, { method, path, query, headers }, from, clock.now());
    const parameters = new URLSearchParams(query);
    const { bucket, key } = nameIn(path);
    const request: S3Request = {
      http,
      response,
      requestId,
      method,
      bucket,
      key,
      query: parameters,
      headers: authentication.claim.isPresigned ? withQueryHeaders(headers, parameters) : headers,
      caller: authentication.caller,
      authentication,
      objects,
    };
    await operationOf(request)(request);
    // A body that nobody asked for must not stand in the way of the next request.
    http.resume();
  }

  #answerError(response: ServerResponse, { path, requestId }: Arrival, error: ThawError): void {
    if (error.fault === 'platform') this.#deps.onPlatformError(error, requestId);
    response.req.resume();
    if (response.headersSent) {
      response.destroy();
      return;
    }
    const reason = diskProblem(error);
    const told = reason === undefined || error.message.includes(reason) ? error : withReason(error, reason);
    const { status, body } = s3ErrorAnswer(told, path, requestId);
    const contentRange = error.details['contentRange'];
    response.writeHead(status, [
      ...commonHeaders(requestId),
      'Content-Type',
      'application/xml',
      'Content-Length',
      String(body.length),
      ...(typeof contentRange === 'string' ? ['Content-Range', contentRange] : []),
      ...(error.retryAfterS === undefined ? [] : ['Retry-After', String(error.retryAfterS)]),
    ]);
    endAnswer(response, response.req.method === 'HEAD' ? Buffer.alloc(0) : body);
  }
}

function withReason(error: ThawError, reason: string): ThawError {
  return new ThawError(error.code, `${error.message}: ${reason}`, { details: error.details });
}

/** Throws INVALID_ARGUMENT. */
function nameIn(path: string): { readonly bucket: string; readonly key: string } {
  const rest = path.slice(S3_PREFIX.length + 1);
  const slash = rest.indexOf('/');
  if (slash === -1) return { bucket: rest, key: '' };
  try {
    return { bucket: rest.slice(0, slash), key: decodeURIComponent(rest.slice(slash + 1)) };
  } catch (cause) {
    throw new ThawError('INVALID_ARGUMENT', 'the key is not percent-encoded rightly', {
      cause,
      details: { s3Code: 'InvalidURI' },
    });
  }
}

/** A presigned address carries in its query what would be headers. */
function withQueryHeaders(headers: S3Request['headers'], query: URLSearchParams): S3Request['headers'] {
  const all: Record<string, string> = { ...headers };
  for (const [name, value] of query) {
    const lower = name.toLowerCase();
    if (lower.startsWith('x-amz-') && all[lower] === undefined) all[lower] = value;
  }
  return all;
}

/** Settings of buckets and objects that S3 has and Thaw has not. */
const SUBRESOURCES = [
  'accelerate',
  'acl',
  'analytics',
  'attributes',
  'cors',
  'encryption',
  'intelligent-tiering',
  'inventory',
  'legal-hold',
  'lifecycle',
  'logging',
  'metrics',
  'notification',
  'object-lock',
  'ownershipControls',
  'partNumber',
  'policy',
  'policyStatus',
  'publicAccessBlock',
  'renameObject',
  'replication',
  'requestPayment',
  'restore',
  'retention',
  'select',
  'session',
  'tagging',
  'torrent',
  'versionId',
  'versions',
  'website',
];

function operationOf({ method, bucket, key, query, headers }: S3Request): Operation {
  const has = (name: string): boolean => query.has(name);
  const isPart = has('uploadId') && method === 'PUT';
  const unsupported = SUBRESOURCES.find((name) => has(name) && !(name === 'partNumber' && isPart));
  if (unsupported !== undefined) throw notSupported(`?${unsupported}`);
  const isCopy = headers['x-amz-copy-source'] !== undefined;
  if (bucket === '') {
    if (method === 'GET') return buckets.listBuckets;
  } else if (key === '') {
    if (method === 'GET' && has('location')) return buckets.bucketLocation;
    if (method === 'GET' && has('versioning')) return buckets.bucketVersioning;
    if (method === 'GET' && has('uploads')) return uploads.listUploads;
    if (method === 'GET')
      return query.get('list-type') === '2' ? buckets.listObjectsV2 : buckets.listObjectsV1;
    if (method === 'HEAD') return buckets.headBucket;
    if (method === 'PUT' && !has('versioning')) return buckets.createBucket;
    if (method === 'DELETE') return buckets.deleteBucket;
    if (method === 'POST' && has('delete')) return buckets.deleteObjects;
  } else {
    if (method === 'GET' && has('uploadId')) return uploads.listParts;
    if (method === 'GET' || method === 'HEAD') return single.getObject;
    if (isPart) return isCopy ? uploads.uploadPartCopy : uploads.uploadPart;
    if (method === 'PUT') return isCopy ? single.copyObject : single.putObject;
    if (method === 'POST' && has('uploads')) return uploads.createUpload;
    if (method === 'POST' && has('uploadId')) return uploads.completeUpload;
    if (method === 'DELETE') return has('uploadId') ? uploads.abortUpload : single.deleteObject;
  }
  throw notSupported(
    `${method} on ${bucket === '' ? 'the list of buckets' : key === '' ? 'a bucket' : 'an object'}`,
  );
}

function notSupported(what: string): ThawError {
  return new ThawError('PATH_NOT_SUPPORTED', `${what} is not supported by this object store`);
}
