import { XMLBuilder, XMLParser } from 'fast-xml-parser';
import { ThawError } from '@thaw/protocol/thaw-error.ts';

const builder = new XMLBuilder({ ignoreAttributes: false, suppressEmptyNode: false });
const parser = new XMLParser({ parseTagValue: false, ignoreAttributes: true, trimValues: false });

/** S3's documents: elements by name, lists as repeated elements. */
export function xml(root: string, content: Readonly<Record<string, unknown>>): Buffer {
  const namespaced =
    root === 'Error' ? content : { '@_xmlns': 'http://s3.amazonaws.com/doc/2006-03-01/', ...content };
  return Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n${builder.build({ [root]: namespaced })}`);
}

/** The elements inside the root of a document. Throws INVALID_ARGUMENT. */
export function parseXml(text: string, root: string): Readonly<Record<string, unknown>> {
  try {
    // No document of S3's has one, and entities could make a small text large.
    if (text.includes('<!DOCTYPE')) throw new Error('a document type is not allowed');
    const parsed: unknown = parser.parse(text, true);
    const content: unknown = isRecord(parsed) ? parsed[root] : undefined;
    if (isRecord(content)) return content;
    if (typeof content === 'string' && content.trim() === '') return {};
    throw new Error(`it has no ${root}`);
  } catch (cause) {
    throw new ThawError('INVALID_ARGUMENT', 'the body is not the XML that this call takes', {
      cause,
      details: { s3Code: 'MalformedXML' },
    });
  }
}

/** An element that may be there several times, once or not at all. */
export function elementsOf(
  content: Readonly<Record<string, unknown>>,
  name: string,
): Readonly<Record<string, unknown>>[] {
  const found = content[name];
  if (found === undefined) return [];
  return (Array.isArray(found) ? found : [found]).filter(isRecord);
}

export function textOf(content: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const found = content[name];
  return typeof found === 'string' ? found : undefined;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
