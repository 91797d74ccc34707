import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Arrival } from '../../gateway/door.ts';
import { endAnswer } from '../../gateway/end-answer.ts';
import { collectBody } from '../../invocation/collect-body.ts';
import type { ThawCall, ThawResource } from './thaw-resource.ts';

const NOTHING = Buffer.alloc(0);

export interface Asking {
  readonly arrival: Arrival;
  readonly stopping: AbortSignal;
  /** Throws where the body is not what its sender has signed. */
  readonly requireBody: (body: Buffer) => void;
}

/** Reads the body, asks the resource, and answers. */
export function askResource(
  resource: ThawResource,
  call: Pick<ThawCall, 'method' | 'segments' | 'headers' | 'accessKeyId'>,
  request: IncomingMessage,
  response: ServerResponse,
  { arrival, stopping, requireBody }: Asking,
): void {
  const { path, query, requestId } = arrival;
  const ask = async (body: Buffer): Promise<void> => {
    requireBody(body);
    const gone = new AbortController();
    const onClose = (): void => gone.abort();
    response.once('close', onClose);
    try {
      const signal = AbortSignal.any([gone.signal, stopping]);
      const parameters = new URLSearchParams(query);
      const answer = await resource.handle({ ...call, path, parameters, body, requestId, signal });
      if (answer.bytes === undefined) write(response, answer.status ?? 200, requestId, answer.json, []);
      else writeBytes(response, requestId, answer.bytes, answer.size);
    } finally {
      response.off('close', onClose);
    }
  };
  collectBody(request, resource.bodyBytesMax ?? LIMITS.controlBodyBytesMax, (tooLarge, body) => {
    const asked = tooLarge === undefined ? ask(body) : Promise.reject(tooLarge);
    asked.catch((thrown: unknown) => {
      answerError(response, requestId, ThawError.from(thrown, 'serving the platform API'));
    });
  });
}

/** Throws INVALID_ARGUMENT. */
export function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (cause) {
    throw new ThawError('INVALID_ARGUMENT', `the path segment '${segment}' is not percent-encoded rightly`, {
      cause,
    });
  }
}

export function answerJson(response: ServerResponse, requestId: string, value: unknown): void {
  write(response, 200, requestId, value, []);
}

export function answerError(response: ServerResponse, requestId: string, error: ThawError): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const retry = error.retryAfterS === undefined ? [] : ['Retry-After', String(error.retryAfterS)];
  write(
    response,
    error.status,
    requestId,
    { RequestId: requestId, Code: error.code, Message: error.message },
    retry,
  );
}

/** A stream that fails half-way breaks the connection: less than its length is no whole answer. */
function writeBytes(
  response: ServerResponse,
  requestId: string,
  bytes: Buffer | Readable,
  size: number | undefined,
): void {
  const length = size === undefined ? [] : ['Content-Length', String(size)];
  response.writeHead(200, [
    'Content-Type',
    'application/octet-stream',
    ...length,
    'x-fc-request-id',
    requestId,
  ]);
  if (Buffer.isBuffer(bytes)) {
    endAnswer(response, bytes);
    return;
  }
  response.once('close', () => bytes.destroy());
  bytes.once('error', () => response.destroy());
  bytes.pipe(response);
}

function write(
  response: ServerResponse,
  status: number,
  requestId: string,
  value: unknown,
  more: string[],
): void {
  const body = value === undefined ? NOTHING : Buffer.from(JSON.stringify(value));
  response.writeHead(status, [
    ...(value === undefined ? [] : ['Content-Type', 'application/json']),
    'Content-Length',
    String(body.length),
    'x-fc-request-id',
    requestId,
    ...more,
  ]);
  endAnswer(response, body);
}
