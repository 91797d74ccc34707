/**
 * The text side of Alibaba Cloud's ACS3-HMAC-SHA256 signature: what is signed, in which order, in which spelling. The
 * daemon verifies with it and the command line signs with it, so both speak of the same bytes. Hashing is the caller's:
 *
 *   canonical = acs3CanonicalRequest(parts)
 *   signature = hex(hmacSha256(secret, acs3StringToSign(hex(sha256(canonical)))))
 *   header    = acs3Authorization({ accessKeyId, signedHeaders, signature })
 *
 * Verified against the official client @alicloud/fc20230330 4.7.6.
 */

export const ACS3_ALGORITHM = 'ACS3-HMAC-SHA256';

/** Hex SHA-256 of no bytes at all: `x-acs-content-sha256` of a request without a body. */
export const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

/** Headers by lower-case name. */
export type HeaderMap = Readonly<Record<string, string | undefined>>;

export interface Acs3Request {
  /** Upper case. */
  readonly method: string;
  /** As on the wire, percent-encoded, without the query. */
  readonly path: string;
  /** As on the wire, without the `?`; empty when there is none. */
  readonly query: string;
  readonly headers: HeaderMap;
  /** Lower case, sorted; what `Authorization` names. */
  readonly signedHeaders: readonly string[];
  /** Hex SHA-256 of the body. */
  readonly bodySha256: string;
}

export interface Acs3Authorization {
  readonly accessKeyId: string;
  /** Lower case, in the order in which they were signed. */
  readonly signedHeaders: readonly string[];
  /** Hex. */
  readonly signature: string;
}

/** The headers that a client signs: `host`, `content-type` and every `x-acs-*` it sends. */
export function acs3HeadersToSign(headers: HeaderMap): string[] {
  return Object.keys(headers)
    .filter((name) => isSignable(name) && headers[name] !== undefined)
    .toSorted();
}

/** Whether the scheme wants a header of this (lower-case) name signed when it is present. */
export function isSignable(name: string): boolean {
  return name.startsWith('x-acs-') || name === 'host' || name === 'content-type';
}

export function acs3CanonicalRequest(request: Acs3Request): string {
  let headers = '';
  for (const name of request.signedHeaders) headers += `${name}:${(request.headers[name] ?? '').trim()}\n`;
  return `${request.method}\n${canonicalPath(request.path)}\n${canonicalQuery(request.query)}\n${headers}\n${request.signedHeaders.join(';')}\n${request.bodySha256}`;
}

export function acs3StringToSign(canonicalRequestSha256: string): string {
  return `${ACS3_ALGORITHM}\n${canonicalRequestSha256}`;
}

/** The value of the `Authorization` header. */
export function acs3Authorization(parts: Acs3Authorization): string {
  return `${ACS3_ALGORITHM} Credential=${parts.accessKeyId},SignedHeaders=${parts.signedHeaders.join(';')},Signature=${parts.signature}`;
}

/** Reads an `Authorization` header; undefined when it is not a whole one of this scheme. */
export function parseAcs3Authorization(value: string): Acs3Authorization | undefined {
  if (!value.startsWith(`${ACS3_ALGORITHM} `)) return undefined;
  let accessKeyId = '';
  let signedHeaders = '';
  let signature = '';
  for (const part of value.slice(ACS3_ALGORITHM.length + 1).split(',')) {
    const equals = part.indexOf('=');
    if (equals < 0) return undefined;
    const name = part.slice(0, equals).trim();
    const text = part.slice(equals + 1).trim();
    if (name === 'Credential') accessKeyId = text;
    else if (name === 'SignedHeaders') signedHeaders = text;
    else if (name === 'Signature') signature = text;
  }
  if (accessKeyId === '' || signedHeaders === '' || signature === '') return undefined;
  return { accessKeyId, signedHeaders: signedHeaders.toLowerCase().split(';'), signature };
}

/** RFC 3986: everything but letters, digits and `-_.~` as upper-case `%XX` of its UTF-8 bytes. */
export function percentEncode(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, encodeSubDelimiter);
}

function encodeSubDelimiter(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}

function canonicalPath(path: string): string {
  const plusEncoded = path.includes('+') ? path.replaceAll('+', '%20') : path;
  const starEncoded = plusEncoded.includes('*') ? plusEncoded.replaceAll('*', '%2A') : plusEncoded;
  return starEncoded.includes('%7E') ? starEncoded.replaceAll('%7E', '~') : starEncoded;
}

/**
 * Decoded and encoded anew, because clients differ in what they escape on the wire; sorted by name. Equal names keep
 * the order in which they were sent.
 */
function canonicalQuery(query: string): string {
  if (query === '') return '';
  const pairs: { readonly name: string; readonly value: string }[] = [];
  for (const part of query.split('&')) {
    if (part === '') continue;
    const equals = part.indexOf('=');
    pairs.push({
      name: decodeQueryText(equals < 0 ? part : part.slice(0, equals)),
      value: equals < 0 ? '' : decodeQueryText(part.slice(equals + 1)),
    });
  }
  pairs.sort((left, right) => (left.name < right.name ? -1 : left.name > right.name ? 1 : 0));
  return pairs.map((pair) => `${percentEncode(pair.name)}=${percentEncode(pair.value)}`).join('&');
}

/** A query that is not valid percent-encoding is signed as it stands: no signature over it will match by accident. */
function decodeQueryText(text: string): string {
  try {
    return decodeURIComponent(text.includes('+') ? text.replaceAll('+', ' ') : text);
  } catch {
    return text;
  }
}
