/**
 * A CloudEvent 1.0 in the JSON format (CloudEvents JSON Event Format, section 3): its attributes as fields, its data
 * as `data`, or as `data_base64` where it is not text.
 */
export interface CloudEvent {
  readonly specversion: string;
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly datacontenttype?: string;
  readonly data?: unknown;
  readonly data_base64?: string;
  /** Further attributes: texts, numbers and booleans. */
  readonly [attribute: string]: unknown;
}

export const CLOUD_EVENT_TYPE = 'application/cloudevents+json; charset=utf-8';
const JSON_TYPE = /^[\w.-]+\/([\w.-]+\+)?json\b/i;

export function isJsonType(contentType: string): boolean {
  return JSON_TYPE.test(contentType);
}

/** Undefined for bytes that are no CloudEvent. */
export function cloudEventOf(bytes: Buffer): CloudEvent | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    return isCloudEvent(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

export function isCloudEvent(value: unknown): value is CloudEvent {
  if (typeof value !== 'object' || value === null) return false;
  return ['specversion', 'id', 'source', 'type'].every((name) => {
    const attribute: unknown = Reflect.get(value, name);
    return typeof attribute === 'string' && attribute !== '';
  });
}

/** In HTTP's binary content mode (CloudEvents HTTP Protocol Binding, section 3.1): headers and the data itself. */
export function binaryMessage(event: CloudEvent): { readonly rawHeaders: string[]; readonly body: Buffer } {
  const { datacontenttype, data, data_base64: base64, ...attributes } = event;
  const rawHeaders: string[] = [];
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
      rawHeaders.push(`ce-${name}`, headerText(String(value)));
    }
  }
  const body = typeof base64 === 'string' ? Buffer.from(base64, 'base64') : dataBytes(data, datacontenttype);
  // Data without a type of its own is JSON (JSON Event Format, section 3.1).
  const contentType = datacontenttype ?? (data === undefined ? undefined : 'application/json');
  if (contentType !== undefined) rawHeaders.push('Content-Type', contentType);
  rawHeaders.push('Content-Length', String(body.length));
  return { rawHeaders, body };
}

function dataBytes(data: unknown, contentType: string | undefined): Buffer {
  if (data === undefined) return Buffer.alloc(0);
  const isText = typeof data === 'string' && contentType !== undefined && !isJsonType(contentType);
  return Buffer.from(isText ? data : JSON.stringify(data));
}

/**
 * What a header cannot carry is percent-encoded (section 3.1.3.2). Spaces and quotes within are left, which every
 * reader gets right, whether or not it decodes.
 */
function headerText(value: string): string {
  return value
    .toWellFormed()
    .replaceAll(/[^\u0020-\u007e]|%|^ | $/gu, (character) => encodeURIComponent(character));
}
