import { isUtf8 } from 'node:buffer';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { isCloudEvent, isJsonType, type CloudEvent } from '../../model/cloud-event.ts';
import { isObject } from './event-pattern.ts';

export const EVENTS_PER_REQUEST_MAX = 1_000;
const STRUCTURED = 'application/cloudevents';
const BATCH = 'application/cloudevents-batch';
const TEXT_TYPE =
  /^(text\/|application\/([\w.-]+\+)?xml\b|application\/x-www-form-urlencoded\b)|;\s*charset=utf-8/i;
const MISSING = ['specversion', 'id', 'source', 'type'] as const;

/**
 * The CloudEvents 1.0 of an HTTP request in any of the three modes (HTTP Protocol Binding, section 3). Throws
 * INVALID_ARGUMENT or INVALID_JSON that says which event and why.
 */
export async function parseCloudEvents(
  headers: Readonly<Record<string, string>>,
  body: Buffer,
): Promise<readonly CloudEvent[]> {
  const contentType = (headers['content-type'] ?? '').trim();
  const kind = contentType.toLowerCase();
  if (kind.startsWith(BATCH)) {
    requireJson(contentType);
    const values = parseJson(body);
    if (!Array.isArray(values)) throw invalid('a batch must be a JSON list of events');
    if (values.length > EVENTS_PER_REQUEST_MAX) {
      throw invalid(`a batch holds at most ${EVENTS_PER_REQUEST_MAX} events, not ${values.length}`);
    }
    return await Promise.all(values.map((value, index) => validEvent(value, `event ${index + 1}`)));
  }
  if (kind.startsWith(STRUCTURED)) {
    requireJson(contentType);
    return [await validEvent(parseJson(body), 'the event')];
  }
  return [await validEvent(binaryEvent(headers, contentType, body), 'the event')];
}

function binaryEvent(headers: Readonly<Record<string, string>>, contentType: string, body: Buffer): object {
  const event: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith('ce-')) event[name.slice('ce-'.length)] = decoded(value);
  }
  if (Object.keys(event).length === 0) {
    throw invalid(
      'there is no CloudEvent: send ce-id, ce-source, ce-type and ce-specversion headers, or a body of the type application/cloudevents+json',
    );
  }
  // A name that data has in JSON is none of an attribute.
  if ('data' in event || 'data_base64' in event || 'datacontenttype' in event) {
    throw invalid('ce-data, ce-data_base64 and ce-datacontenttype are no attributes of the binary mode');
  }
  if (contentType !== '') event['datacontenttype'] = contentType;
  if (body.length === 0) return event;
  if (isJsonType(contentType)) event['data'] = parseJson(body);
  else if (TEXT_TYPE.test(contentType) && isUtf8(body)) event['data'] = body.toString('utf8');
  else event['data_base64'] = body.toString('base64');
  return event;
}

async function validEvent(value: unknown, what: string): Promise<CloudEvent> {
  if (!isObject(value)) throw invalid(`${what} must be a JSON object`);
  if (!isCloudEvent(value)) {
    const missing = MISSING.filter((name) => typeof value[name] !== 'string' || value[name] === '');
    throw invalid(`${what} lacks ${missing.join(', ')}`);
  }
  if (value.specversion !== '1.0') {
    throw invalid(`${what} is of CloudEvents version '${value.specversion}'; this platform takes 1.0`);
  }
  const { data: _data, data_base64: base64, ...attributes } = value;
  for (const [name, attribute] of Object.entries(attributes)) {
    if (attribute === null || typeof attribute === 'object') {
      throw invalid(`${what}: the attribute ${name} must be a text, a number or a boolean`);
    }
  }
  if (base64 !== undefined) {
    if (_data !== undefined) throw invalid(`${what} has both data and data_base64`);
    if (typeof base64 !== 'string' || !isBase64(base64)) throw invalid(`${what}: data_base64 is not base64`);
  }
  await requireValidAttributes(attributes, what);
  return value;
}

/** Forms of attributes (URIs, times, names) are the library's to judge. It is loaded with the first event. */
async function requireValidAttributes(
  attributes: Readonly<Record<string, unknown>>,
  what: string,
): Promise<void> {
  const { CloudEvent: Validated, ValidationError } = await import('cloudevents');
  try {
    new Validated(attributes).validate();
  } catch (cause) {
    const errors: unknown = cause instanceof ValidationError ? cause.errors : undefined;
    const [first] = Array.isArray(errors) ? errors : [];
    const reason = cause instanceof Error ? cause.message.split('\n')[first === undefined ? 0 : 1] : '';
    throw new ThawError('INVALID_ARGUMENT', `${what} is no CloudEvent: ${wordsOf(first) ?? reason ?? ''}`, {
      cause,
    });
  }
}

function wordsOf(error: unknown): string | undefined {
  if (!isObject(error)) return undefined;
  const { instancePath, message } = error;
  return typeof instancePath === 'string' && typeof message === 'string'
    ? `${instancePath.slice(1)} ${message}`
    : undefined;
}

function requireJson(contentType: string): void {
  if (/^application\/cloudevents(-batch)?\+json\s*(;|$)/i.test(contentType)) return;
  throw invalid(`events of the type ${contentType} are not taken; send them as JSON`);
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch (cause) {
    throw new ThawError('INVALID_JSON', 'the body of the event must be JSON, as its content type says', {
      cause,
    });
  }
}

/** Senders that do not encode are taken at their word. */
function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

function isBase64(text: string): boolean {
  return text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text);
}

function invalid(message: string): ThawError {
  return new ThawError('INVALID_ARGUMENT', message);
}
