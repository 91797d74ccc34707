import { namedByConnection } from './forwarded-headers.ts';

/** What is sent has a form that no server can read in two ways: this was not to be sent. */
export class RequestHeadError extends Error {
  override readonly name = 'RequestHeadError';
}

/** How a server learns where the body ends; `none` says nothing, as of a request that has none. */
export type SentLength = number | 'chunked' | 'none';

/** Of an InstanceRequest, what its head is made of. */
export interface HeadSource {
  readonly method: string;
  readonly url: string;
  readonly rawHeaders: readonly string[];
}

const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const URL_FORM = /^\/[\x21-\x7e\x80-\xff]*$/;
const NAME = METHOD;
const FORBIDDEN_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]/;
/** Methods whose requests have bodies: without one a length of 0 says so (RFC 9110, section 8.6). */
const WITH_BODY: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH', 'QUERY', 'PROPFIND', 'PROPPATCH']);

/**
 * Headers of the connection, and those that are written anew: what the caller said of its own connection and its own
 * framing does not hold for ours. By length, since most names have none of these.
 */
const REPLACED: readonly (readonly string[] | undefined)[] = (() => {
  const byLength: string[][] = [];
  for (const name of [
    'connection',
    'content-length',
    'expect',
    'host',
    'keep-alive',
    'proxy-connection',
    'te',
    'trailer',
    'transfer-encoding',
    'upgrade',
  ]) {
    (byLength[name.length] ??= []).push(name);
  }
  return byLength;
})();

/**
 * Request line and headers in Latin-1, up to the empty line. `ownHeaders` are lines of the platform. Throws
 * RequestHeadError.
 */
export function requestHead(
  { method, url, rawHeaders }: HeadSource,
  ownHeaders: string,
  defaultHost: string,
  length: SentLength,
  connection: string,
): string {
  // CONNECT would make a tunnel of any answer.
  if (!METHOD.test(method) || method === 'CONNECT') throw new RequestHeadError('its method cannot be sent');
  if (!URL_FORM.test(url)) throw new RequestHeadError('its address cannot be sent');
  const named = namedByConnection(rawHeaders);
  let host: string | undefined;
  let lines = '';
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? '';
    const value = rawHeaders[at + 1] ?? '';
    if (FORBIDDEN_IN_VALUE.test(value) || !NAME.test(name))
      throw new RequestHeadError('it has a header that cannot be sent');
    const lowerName = replacedName(name);
    if (lowerName === undefined) {
      if (named?.has(name.toLowerCase()) !== true) lines += `${name}: ${value}\r\n`;
    } else if (lowerName === 'host') host ??= value;
  }
  return `${method} ${url} HTTP/1.1\r\nhost: ${host ?? defaultHost}\r\n${connection}${lines}${ownHeaders}${lengthLine(method, length)}\r\n`;
}

/** Names and values in turn as lines, without those values that no header can have: one of them would end every request. */
export function headerLines(headers: readonly string[]): string {
  let lines = '';
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const value = headers[at + 1] ?? '';
    if (!FORBIDDEN_IN_VALUE.test(value)) lines += `${headers[at]}: ${value}\r\n`;
  }
  return lines;
}

function lengthLine(method: string, length: SentLength): string {
  if (length === 'chunked') return 'transfer-encoding: chunked\r\n';
  if (length === 'none') return '';
  return length > 0 || WITH_BODY.has(method) ? `content-length: ${length}\r\n` : '';
}

function replacedName(name: string): string | undefined {
  const candidates = REPLACED[name.length];
  if (candidates === undefined) return undefined;
  const lowerName = name.toLowerCase();
  return candidates.includes(lowerName) ? lowerName : undefined;
}
