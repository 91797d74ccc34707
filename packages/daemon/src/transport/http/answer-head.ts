import { AnswerError } from './answer-error.ts';
import { forwardedHeaders } from './forwarded-headers.ts';

/** How the end of a body is found: after so many bytes, by its chunks, or where the connection ends. */
export type BodyLength = number | 'chunked' | 'untilClose';

/** Status line and headers of a server's answer. Shared by all answers that have the same: nobody changes it. */
export interface AnswerHead {
  readonly status: number;
  /** Names and values in turn, as the server spelled them, without those of the connection. */
  readonly rawHeaders: readonly string[];
  /** Of an answer that may have a body. */
  readonly bodyLength: BodyLength;
  readonly keepsConnection: boolean;
  /** For how long the server promises to keep it, in seconds; undefined where it does not say. */
  readonly keepAliveS: number | undefined;
  /** Protocol of a 101. */
  readonly upgrade: string | undefined;
}

const FIELDS_MAX = 1000;
/** The reason may be missing with its blank; nothing reads it. */
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/;
/** A name is a token right before its colon; a value holds no control characters (RFC 9110, section 5.5). */
const FIELD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*$/;
const LENGTH = /^\d{1,15}$/;

/**
 * Reads a head in Latin-1 with its empty line. Strict where senders and readers of HTTP have been led to see different
 * messages (RFC 9112, section 11.2): lines end with CR LF, nothing is folded, a length is said once and in one way.
 * Throws AnswerError.
 */
export function parseAnswerHead(text: string): AnswerHead {
  const lineEnd = text.indexOf('\r\n');
  const [, minorVersion, status] = STATUS_LINE.exec(text.slice(0, lineEnd)) ?? [];
  if (status === undefined) throw new AnswerError('its first line is no status line of HTTP/1.1');
  const rawHeaders = readFields(text, lineEnd + 2);
  const isOld = minorVersion === '0';
  const options = connectionOptions(rawHeaders);
  return {
    status: Number(status),
    rawHeaders: forwardedHeaders(rawHeaders),
    bodyLength: bodyLength(rawHeaders, isOld),
    keepsConnection: !options.includes('close') && (!isOld || options.includes('keep-alive')),
    keepAliveS: keepAliveSeconds(rawHeaders),
    upgrade: valuesOf(rawHeaders, 'upgrade')[0],
  };
}

function readFields(text: string, start: number): string[] {
  const fields: string[] = [];
  const end = text.length - 2;
  for (let at = start; at < end;) {
    const lineEnd = text.indexOf('\r\n', at);
    const line = text.slice(at, lineEnd);
    if (!FIELD.test(line)) throw new AnswerError(`it has a header that HTTP does not allow: ${shown(line)}`);
    if (fields.length === 2 * FIELDS_MAX) throw new AnswerError(`it has more than ${FIELDS_MAX} headers`);
    const colon = line.indexOf(':');
    fields.push(line.slice(0, colon), line.slice(colon + 1).trim());
    at = lineEnd + 2;
  }
  return fields;
}

function bodyLength(rawHeaders: readonly string[], isOld: boolean): BodyLength {
  const codings = valuesOf(rawHeaders, 'transfer-encoding');
  const lengths = valuesOf(rawHeaders, 'content-length');
  if (codings.length > 0) {
    if (lengths.length > 0) throw new AnswerError('it has a Content-Length beside its Transfer-Encoding');
    // What else a server may do to a body on the way it may only do when asked, and nobody asks.
    if (codings.length > 1 || codings[0]?.toLowerCase() !== 'chunked' || isOld)
      throw new AnswerError(`its Transfer-Encoding is not understood: ${shown(codings.join(', '))}`);
    return 'chunked';
  }
  const [length] = lengths;
  if (length === undefined) return 'untilClose';
  if (lengths.length > 1 || !LENGTH.test(length))
    throw new AnswerError(`its Content-Length is no number: ${shown(lengths.join(', '))}`);
  return Number(length);
}

function connectionOptions(rawHeaders: readonly string[]): string[] {
  return valuesOf(rawHeaders, 'connection').flatMap((value) =>
    value.split(',').map((option) => option.trim().toLowerCase()),
  );
}

function keepAliveSeconds(rawHeaders: readonly string[]): number | undefined {
  const [, seconds] = /(?:^|[,\s])timeout=(\d{1,9})/i.exec(valuesOf(rawHeaders, 'keep-alive')[0] ?? '') ?? [];
  return seconds === undefined ? undefined : Number(seconds);
}

function valuesOf(rawHeaders: readonly string[], lowerName: string): string[] {
  return rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === lowerName);
}

/** A piece of what somebody sent, for a message. */
function shown(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}
