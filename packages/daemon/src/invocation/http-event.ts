import { isUtf8 } from 'node:buffer';
import type { ResponseHead } from '../transport/transport.ts';

/**
 * What an event handler behind an HTTP trigger sees and answers: FC 3.0's `v1` event and response objects
 * (Function Compute 3.0, "HTTP triggers: request and response of built-in runtimes").
 */
export interface HttpEventSource {
  readonly requestId: string;
  readonly accountId: string;
  readonly method: string;
  /** Path and query as received, below the function's prefix. */
  readonly url: string;
  readonly rawHeaders: readonly string[];
  readonly remoteAddress: string;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
}

export function httpEvent(source: HttpEventSource, body: Buffer): Buffer {
  const queryStart = source.url.indexOf('?');
  const rawPath = queryStart === -1 ? source.url : source.url.slice(0, queryStart);
  const headers = joinRepeated(pairs(source.rawHeaders));
  const query = new URLSearchParams(queryStart === -1 ? '' : source.url.slice(queryStart + 1));
  const isText = isUtf8(body);
  const domainName = headers['Host'] ?? headers['host'] ?? '';
  return Buffer.from(
    JSON.stringify({
      version: 'v1',
      rawPath,
      body: body.toString(isText ? 'utf8' : 'base64'),
      isBase64Encoded: !isText,
      headers,
      queryParameters: joinRepeated(query),
      requestContext: {
        accountId: source.accountId,
        domainName,
        domainPrefix: domainName.split('.')[0] ?? '',
        http: {
          method: source.method,
          path: rawPath,
          protocol: 'HTTP/1.1',
          sourceIp: source.remoteAddress,
          userAgent: headers['User-Agent'] ?? headers['user-agent'] ?? '',
        },
        requestId: source.requestId,
        time: new Date(source.nowMs).toISOString().replace(/\.\d+Z$/, 'Z'),
        timeEpoch: String(source.nowMs),
      },
    }),
  );
}

export interface HttpEventAnswer {
  readonly head: ResponseHead;
  readonly body: Buffer;
}

/** A JSON object with `statusCode` is a response; anything else is the body of a 200. */
export function httpEventAnswer(result: Buffer): HttpEventAnswer {
  const value = parseJson(result);
  if (isResponseObject(value)) return responseObject(value);
  const type =
    value !== undefined
      ? 'application/json'
      : isUtf8(result)
        ? 'text/plain; charset=utf-8'
        : 'application/octet-stream';
  return { head: { status: 200, rawHeaders: ['Content-Type', type] }, body: result };
}

interface ResponseObject {
  readonly statusCode: unknown;
  readonly headers?: unknown;
  readonly body?: unknown;
  readonly isBase64Encoded?: unknown;
}

function isResponseObject(value: unknown): value is ResponseObject {
  return typeof value === 'object' && value !== null && 'statusCode' in value;
}

function responseObject({ statusCode, headers, body, isBase64Encoded }: ResponseObject): HttpEventAnswer {
  const status = Number(statusCode);
  if (!Number.isInteger(status) || status < 200 || status > 999) {
    throw new TypeError(
      `statusCode must be a whole number from 200 to 999, not ${JSON.stringify(statusCode)}`,
    );
  }
  const rawHeaders: string[] = [];
  for (const [name, given] of Object.entries(headers ?? {})) {
    // A list repeats the header; that is how several cookies are set.
    for (const item of Array.isArray(given) ? given : [given]) rawHeaders.push(name, String(item));
  }
  if (!rawHeaders.some((name, at) => at % 2 === 0 && name.toLowerCase() === 'content-type')) {
    rawHeaders.push(
      'Content-Type',
      typeof body === 'object' && body !== null ? 'application/json' : 'text/plain; charset=utf-8',
    );
  }
  return { head: { status, rawHeaders }, body: bodyBytes(body, isBase64Encoded === true) };
}

function bodyBytes(body: unknown, isBase64: boolean): Buffer {
  if (body === undefined || body === null) return Buffer.alloc(0);
  if (typeof body === 'string') return Buffer.from(body, isBase64 ? 'base64' : 'utf8');
  return Buffer.from(JSON.stringify(body));
}

/** Undefined where it is none. An exception costs more than the rest of a warm request, so most text is told by its start. */
function parseJson(bytes: Buffer): unknown {
  if (!mayBeJson(bytes)) return undefined;
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

/** Whether the first byte that is no white space can begin a JSON value. */
function mayBeJson(bytes: Buffer): boolean {
  let at = 0;
  while (at < bytes.length && JSON_SPACES.has(bytes[at] ?? 0)) at += 1;
  return JSON_STARTS.has(bytes[at] ?? 0);
}

const JSON_SPACES: ReadonlySet<number> = new Set(Buffer.from(' \t\n\r'));
const JSON_STARTS: ReadonlySet<number> = new Set(Buffer.from('{["-0123456789tfn'));

function* pairs(flat: readonly string[]): Iterable<[string, string]> {
  for (let at = 0; at + 1 < flat.length; at += 2) yield [flat[at] ?? '', flat[at + 1] ?? ''];
}

/** FC joins repeated names with a comma. */
function joinRepeated(entries: Iterable<[string, string]>): Record<string, string> {
  const joined: Record<string, string> = {};
  for (const [name, value] of entries) {
    const before = joined[name];
    joined[name] = before === undefined ? value : `${before},${value}`;
  }
  return joined;
}
