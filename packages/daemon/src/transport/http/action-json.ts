import { isUtf8 } from 'node:buffer';
import type { HttpRequest, ResponseSink } from '../transport.ts';
import { headerValue } from './forwarded-headers.ts';

/**
 * What an action gets for a request: the event's own object for a call of the invoke API (undefined where it is none), the
 * request taken apart for one of an HTTP trigger, as OpenWhisk's web actions get it (docs/webactions.md).
 */
export function actionParameters(
  { method, url, rawHeaders }: HttpRequest,
  body: Buffer,
  isInvoke: boolean,
): object | undefined {
  const text = isUtf8(body) ? body.toString('utf8') : undefined;
  if (isInvoke) return body.length === 0 ? {} : objectIn(text);
  const queryAt = url.indexOf('?');
  const path = queryAt < 0 ? url : url.slice(0, queryAt);
  const query = Object.fromEntries(new URLSearchParams(queryAt < 0 ? '' : url.slice(queryAt)));
  const headers: Record<string, string> = {};
  for (let at = 0; at + 1 < rawHeaders.length; at += 2)
    headers[(rawHeaders[at] ?? '').toLowerCase()] = rawHeaders[at + 1] ?? '';
  const type = (headerValue([...rawHeaders], 'content-type') ?? '').toLowerCase();
  const own = type.startsWith('application/json')
    ? objectIn(text)
    : type.startsWith('application/x-www-form-urlencoded')
      ? Object.fromEntries(new URLSearchParams(text))
      : undefined;
  const isText = text !== undefined && (type === '' || type.startsWith('text/'));
  const raw =
    own === undefined && body.length > 0 ? { __ow_body: isText ? text : body.toString('base64') } : {};
  return {
    ...query,
    ...own,
    ...raw,
    __ow_method: method.toLowerCase(),
    __ow_headers: headers,
    __ow_path: path,
  };
}

/** Answers with what a web action's result says: `statusCode`, `headers` and `body`, or the result itself. */
export function tellWebAction(result: Readonly<Record<string, unknown>>, sink: ResponseSink): void {
  const hasError = Object.hasOwn(result, 'error');
  const given = hasError && typeof result['error'] === 'object' ? { ...result, ...result['error'] } : result;
  const { statusCode, headers, body } = Object.fromEntries(Object.entries(given));
  const isResponse = statusCode !== undefined || headers !== undefined || body !== undefined;
  const answer = isResponse ? body : result;
  const rawHeaders = headerList(headers);
  const type = headerValue(rawHeaders, 'content-type');
  const bytes = bodyBytes(answer, type);
  if (type === undefined && bytes.length > 0)
    rawHeaders.push(
      'Content-Type',
      typeof answer === 'string' ? 'text/html; charset=utf-8' : 'application/json',
    );
  const fallback = hasError ? 400 : bytes.length === 0 ? 204 : 200;
  sink.onHead({ status: statusOf(statusCode) ?? fallback, rawHeaders });
  if (bytes.length > 0) sink.onData(bytes);
  sink.onEnd();
}

function objectIn(text: string | undefined): object | undefined {
  try {
    const parsed: unknown = JSON.parse(text ?? '');
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

function statusOf(value: unknown): number | undefined {
  const status = Number(value);
  return value !== undefined && Number.isInteger(status) && status >= 200 && status <= 599
    ? status
    : undefined;
}

function headerList(headers: unknown): string[] {
  if (typeof headers !== 'object' || headers === null) return [];
  const list: string[] = [];
  for (const [name, given] of Object.entries(headers)) {
    const values: unknown[] = Array.isArray(given) ? given : [given];
    for (const value of values) {
      const text = String(value);
      // What is no header would end the whole answer.
      if (/^[\w!#$%&'*+.^`|~-]+$/u.test(name) && /^[\t\x20-\x7e\x80-\xff]*$/u.test(text))
        list.push(name, text);
    }
  }
  return list;
}

function bodyBytes(body: unknown, type: string | undefined): Buffer {
  if (body === undefined || body === null) return Buffer.alloc(0);
  if (typeof body !== 'string') return Buffer.from(JSON.stringify(body));
  const isBinary =
    type !== undefined && !/^(text\/|application\/(json|javascript|xml|x-www-form))/iu.test(type);
  const isBase64 = /^[A-Za-z0-9+/]+={0,2}$/u.test(body) && body.length % 4 === 0;
  return isBinary && isBase64 ? Buffer.from(body, 'base64') : Buffer.from(body);
}
