import type { IncomingMessage, ServerResponse } from 'node:http';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { collectBody } from '../../invocation/collect-body.ts';
import type { ObjectCause, ObjectChecksum, Objects, StagedBytes } from '../../store/objects.ts';
import { decodeAwsChunked } from './aws-chunked.ts';
import { CHECKSUM_ALGORITHMS, checksumHeader } from './checksum.ts';
import { checkedBody, expectedDigests } from './checked-body.ts';
import type { S3Authentication, S3Caller } from './s3-caller.ts';
import { xml } from './xml.ts';

/** One request, read as far as its head goes. */
export interface S3Request {
  readonly http: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId: string;
  readonly method: string;
  readonly bucket: string;
  readonly key: string;
  readonly query: URLSearchParams;
  /** By lower-case name; of a presigned address also what stands in its query. */
  readonly headers: Readonly<Record<string, string>>;
  readonly caller: S3Caller;
  readonly authentication: S3Authentication;
  readonly objects: Objects;
}

export interface ReceivedBody {
  readonly staged: StagedBytes;
  readonly checksum: ObjectChecksum | undefined;
}

/** Takes the body to the disk and holds it against every digest that the client sent. */
export async function receiveBody(request: S3Request, bytesMax: number): Promise<ReceivedBody> {
  const { headers, objects } = request;
  const declared = headers['x-amz-decoded-content-length'] ?? headers['content-length'];
  const isChunked = headers['transfer-encoding'] !== undefined;
  if (declared === undefined && !isChunked) {
    throw new ThawError('MISSING_HEADER', 'the request must say Content-Length', {
      details: { s3Code: 'MissingContentLength' },
    });
  }
  if (declared !== undefined && Number(declared) > bytesMax) throw tooLarge(bytesMax);
  const digests = expectedDigests(request);
  const body = checkedBody(plainBody(request, digests.onTrailer), digests, declared);
  const staged = await objects.stage(body, bytesMax);
  return { staged, checksum: digests.checksum() };
}

/** A small body as text, checked as any other. */
export async function receiveText(request: S3Request, bytesMax: number): Promise<string> {
  const bytes = await new Promise<Buffer>((resolve, reject) => {
    collectBody(request.http, bytesMax, (tooLarge_, body) => {
      if (tooLarge_ === undefined) resolve(body);
      else reject(tooLarge_);
    });
  });
  const digests = expectedDigests(request);
  const chunks: Uint8Array[] = [];
  const source = plainBody({ ...request, body: [bytes] }, digests.onTrailer);
  for await (const chunk of checkedBody(source, digests, undefined)) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

/** The bytes that are meant, out of whatever the client wrapped them in. */
function plainBody(
  request: S3Request & { readonly body?: readonly Buffer[] },
  onTrailer: (name: string, value: string) => void,
): AsyncIterable<Uint8Array> {
  const { claim, signingKey } = request.authentication;
  const source: AsyncIterable<Uint8Array> =
    request.body === undefined ? request.http.iterator({ destroyOnReturn: false }) : asyncOf(request.body);
  switch (claim.payload) {
    case 'STREAMING-UNSIGNED-PAYLOAD-TRAILER':
      return decodeAwsChunked(source, undefined, onTrailer);
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD':
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER': {
      const { date, scope, signature: seed } = claim;
      return decodeAwsChunked(source, { key: signingKey, date, scope, seed }, onTrailer);
    }
    default:
      return source;
  }
}

async function* asyncOf(chunks: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* chunks;
}

export function causeOf(request: S3Request, operation: ObjectCause['operation']): ObjectCause {
  return {
    operation,
    requestId: request.requestId,
    // A connection out of a sandbox has no address of its own.
    sourceIp: request.http.socket.remoteAddress ?? '127.0.0.1',
    principalId: request.caller.principalId,
  };
}

export function answerXml(
  request: S3Request,
  root: string,
  content: Readonly<Record<string, unknown>>,
  headers: readonly string[] = [],
): void {
  const body = xml(root, content);
  request.response.writeHead(200, [
    ...commonHeaders(request.requestId),
    'Content-Type',
    'application/xml',
    'Content-Length',
    String(body.length),
    ...headers,
  ]);
  request.response.end(body);
}

export function answerEmpty(request: S3Request, status: number, headers: readonly string[] = []): void {
  const length = status === 204 ? [] : ['Content-Length', '0'];
  request.response.writeHead(status, [...commonHeaders(request.requestId), ...length, ...headers]);
  request.response.end();
}

export function commonHeaders(requestId: string): string[] {
  return ['x-amz-request-id', requestId];
}

export function checksumHeaders(checksum: ObjectChecksum | undefined): string[] {
  return checksum === undefined ? [] : [checksumHeader(checksum.algorithm), checksum.value];
}

/** The checksum that the parts of an XML document or headers name, if any. */
export function namedChecksum(valueOf: (name: string) => string | undefined): ObjectChecksum | undefined {
  for (const algorithm of CHECKSUM_ALGORITHMS) {
    const value = valueOf(algorithm);
    if (value !== undefined) return { algorithm, value };
  }
  return undefined;
}

/** A whole number in the query. Throws INVALID_ARGUMENT. */
export function numberIn(query: URLSearchParams, name: string, fallback: number, max: number): number {
  const text = query.get(name);
  if (text === null || text === '') return fallback;
  const number = Number(text);
  if (Number.isInteger(number) && number >= 0) return Math.min(number, max);
  throw new ThawError('INVALID_ARGUMENT', `${name} must be a whole number, not '${text}'`);
}

export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

function tooLarge(bytesMax: number): ThawError {
  return new ThawError('PAYLOAD_TOO_LARGE', `the object is larger than ${bytesMax} bytes`, {
    details: { bytesMax },
  });
}
