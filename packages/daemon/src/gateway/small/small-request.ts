import type { IncomingHttpHeaders } from 'node:http';
import { LIMITS } from '@thaw/protocol/limits.ts';
import type { SmallBody } from './small-body.ts';

/** Bodies up to this size are read whole before a slot is taken; larger ones are streamed. */
export const SMALL_BODY_BYTES_MAX = 64 * 1024;

/**
 * An ordinary HTTP/1.1 request: the few parts of HTTP that nearly all calls are made of. What uses any other part
 * (chunked bodies, expectations, upgrades, repeated headers …) is node:http's, which knows them all.
 */
export class SmallRequest {
  readonly method: string;
  readonly url: string;
  /** Flat, as they came. */
  readonly rawHeaders: readonly string[];
  /** By lower-case name; none is repeated. */
  readonly headers: Readonly<IncomingHttpHeaders>;
  readonly remoteAddress: string;
  /** Whole up to `SMALL_BODY_BYTES_MAX`; a longer one streams. */
  readonly body: Buffer | SmallBody;

  constructor(head: SmallHead, remoteAddress: string, body: Buffer | SmallBody) {
    this.method = head.method;
    this.url = head.url;
    this.rawHeaders = head.rawHeaders;
    this.headers = head.headers;
    this.remoteAddress = remoteAddress;
    this.body = body;
  }

  /** Nobody reads the body: what is still to come of it is dropped. A request of node:http is told so by the same name. */
  resume(): void {
    if (!Buffer.isBuffer(this.body)) this.body.resume();
  }
}

/** What is kept beyond the answer takes the whole of HTTP, and is not in a hurry. */
export function isMoreThanACall({ headers }: SmallRequest): boolean {
  return headers['x-fc-invocation-type'] !== undefined || headers['idempotency-key'] !== undefined;
}

/** Requests share it that have the same. */
export interface SmallHead {
  readonly method: string;
  readonly url: string;
  readonly rawHeaders: readonly string[];
  readonly headers: Readonly<IncomingHttpHeaders>;
  /** Where the body begins. */
  readonly headBytes: number;
  readonly bodyBytes: number;
}

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']);
const HEAD_END = Buffer.from('\r\n\r\n');
const VERSION = ' HTTP/1.1';
/** RFC 9110, section 5.6.2. */
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 9110, section 5.5. No line break of any kind is in it, so what two readers could understand in two ways is not small. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const TARGET = /^\/[\x21-\x7e]*$/;
const LENGTH = /^\d{1,15}$/;
/** What takes more than a head and a body of known length. */
const NOT_SMALL: ReadonlySet<string> = new Set([
  'expect',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'proxy-connection',
]);

/**
 * Reads the head at the beginning of `bytes`, as strictly as HTTP allows: undefined for everything that is not whole,
 * not ordinary or not right, which is left to node:http to take or to refuse.
 */
export function smallHeadOf(bytes: Buffer): SmallHead | undefined {
  const end = bytes.indexOf(HEAD_END);
  if (end === -1 || end > LIMITS.requestHeaderBytesMax) return undefined;
  const text = bytes.toString('latin1', 0, end);
  const lineEnd = text.indexOf('\r\n');
  const line = lineEnd === -1 ? text : text.slice(0, lineEnd);
  const methodEnd = line.indexOf(' ');
  const method = line.slice(0, methodEnd);
  if (!line.endsWith(VERSION) || !METHODS.has(method)) return undefined;
  const url = line.slice(methodEnd + 1, -VERSION.length);
  if (url.length > LIMITS.urlBytesMax || !TARGET.test(url)) return undefined;
  const rawHeaders: string[] = [];
  const headers: IncomingHttpHeaders = {};
  let bodyBytes = 0;
  let at = lineEnd === -1 ? text.length : lineEnd + 2;
  while (at < text.length) {
    const next = text.indexOf('\r\n', at);
    const stop = next === -1 ? text.length : next;
    const colon = text.indexOf(':', at);
    if (colon === -1 || colon >= stop) return undefined;
    const name = text.slice(at, colon);
    const value = withoutSpace(text, colon + 1, stop);
    const key = name.toLowerCase();
    // `in` finds what every object has too (`constructor`, `__proto__`): names that nobody sends in earnest.
    if (!NAME.test(name) || !VALUE.test(value) || NOT_SMALL.has(key) || key in headers) return undefined;
    if (key === 'content-length') {
      if (!LENGTH.test(value)) return undefined;
      bodyBytes = Number(value);
    } else if (key === 'connection' && value.toLowerCase() !== 'keep-alive') {
      return undefined;
    }
    headers[key] = value;
    rawHeaders.push(name, value);
    at = stop + 2;
  }
  if (headers.host === undefined) return undefined;
  return { method, url, rawHeaders, headers, headBytes: end + HEAD_END.length, bodyBytes };
}

const SPACE = 0x20;
const TAB = 0x09;

/** The part from `start` to `end` without the blanks around it; only these two count as blank in HTTP. */
function withoutSpace(text: string, start: number, end: number): string {
  let from = start;
  let to = end;
  while (from < to && isBlank(text.charCodeAt(from))) from += 1;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to -= 1;
  return text.slice(from, to);
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB;
}
