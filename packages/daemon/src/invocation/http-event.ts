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
  const headers = joinRepeated(source.rawHeaders);
  const isText = isUtf8(body);
  const domainName = headers['Host'] ?? headers['host'] ?? '';
  const domainEnd = domainName.indexOf('.');
  return Buffer.from(
    JSON.stringify({
      version: 'v1',
      rawPath,
      body: body.toString(isText ? 'utf8' : 'base64'),
      isBase64Encoded: !isText,
      headers,
      queryParameters: queryStart === -1 ? {} : queryParameters(source.url.slice(queryStart + 1)),
      requestContext: {
        accountId: source.accountId,
        domainName,
        domainPrefix: domainEnd === -1 ? domainName : domainName.slice(0, domainEnd),
        http: {
          method: source.method,
          path: rawPath,
          protocol: 'HTTP/1.1',
          sourceIp: source.remoteAddress,
          userAgent: headers['User-Agent'] ?? headers['user-agent'] ?? '',
        },
        requestId: source.requestId,
        time: secondText(source.nowMs),
        timeEpoch: String(source.nowMs),
      },
    }),
  );
}

let lastSecond = { number: NaN, text: '' };

/** `2026-03-10T12:00:00Z`; made once for all requests of a second. */
function secondText(nowMs: number): string {
  const number = Math.floor(nowMs / 1000);
  if (lastSecond.number !== number) {
    lastSecond = { number, text: new Date(nowMs).toISOString().replace(/\.\d+Z$/, 'Z') };
  }
  return lastSecond.text;
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

function queryParameters(query: string): Record<string, string> {
  return joinRepeated([...new URLSearchParams(query)].flat());
}

/** Names and values in turn as an object; FC joins repeated names with a comma. */
function joinRepeated(flat: readonly string[]): Record<string, string> {
  const joined: Record<string, string> = {};
  for (let at = 0; at + 1 < flat.length; at += 2) {
    const name = flat[at] ?? '';
    const before = joined[name];
    joined[name] = before === undefined ? (flat[at + 1] ?? '') : `${before},${flat[at + 1]}`;
  }
  return joined;
}
