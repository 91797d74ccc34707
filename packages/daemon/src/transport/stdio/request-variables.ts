import { isUtf8 } from 'node:buffer';
import type { InstanceRequest } from '../transport.ts';

/**
 * What IronFunctions tells a program about its request, as environment variables or, to a hot one, as headers of the same
 * names: METHOD, ROUTE, REQUEST_URL, HEADER_<NAME> and PARAM_<NAME>. ROUTE is the path below the function's address;
 * its parameters are here those of the query, since a trigger's path has no names for its parts.
 */
export function requestVariables(request: InstanceRequest): Map<string, string> {
  const variables = new Map<string, string>();
  if (request.kind === 'event') {
    variables.set('METHOD', 'POST');
    variables.set('ROUTE', '/invoke');
    variables.set('REQUEST_URL', '/invoke');
    return variables;
  }
  const { url, base, scheme, rawHeaders } = request;
  const [route = '', query = ''] = splitOnce(url, '?');
  const host = headerOf(rawHeaders, 'host');
  variables.set('METHOD', request.method);
  variables.set('ROUTE', route);
  variables.set('REQUEST_URL', `${host === '' ? '' : `${scheme}://${host}`}${base}${url}`);
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    addTo(variables, variableName('HEADER', rawHeaders[at] ?? ''), textOf(rawHeaders[at + 1] ?? ''));
  }
  for (const [name, value] of new URLSearchParams(query)) {
    addTo(variables, variableName('PARAM', name), value);
  }
  return variables;
}

/** The function's own configuration under the names that IronFunctions gives it; the platform's are not part of it. */
export function configVariables(environment: Readonly<Record<string, string>>): Map<string, string> {
  const own = Object.entries(environment).filter(([name]) => !name.startsWith('FC_'));
  return new Map(own.map(([name, value]) => [upperName(name), value]));
}

/** Whether the request is a call of the invoke API, whose caller gets bytes and no HTTP response. */
export function isInvokeCall(request: InstanceRequest): boolean {
  return request.kind === 'event' || headerOf(request.rawHeaders, 'x-fc-control-path') === '/invoke';
}

/** Values of one name are joined with a blank, as upstream does. No variable can hold a zero byte. */
function addTo(variables: Map<string, string>, name: string, value: string): void {
  const before = variables.get(name);
  const text = value.replaceAll('\0', '');
  variables.set(name, before === undefined ? text : `${before} ${text}`);
}

/** Node reads headers byte for byte into characters; what the caller sent is nearly always UTF-8. */
function textOf(value: string): string {
  const bytes = Buffer.from(value, 'latin1');
  return isUtf8(bytes) ? bytes.toString('utf8') : value;
}

/** Only what a name may hold in every shell comes through; the prefix keeps callers off variables that mean something. */
function variableName(prefix: 'HEADER' | 'PARAM', name: string): string {
  return `${prefix}_${upperName(name).replaceAll(/[^A-Z0-9_]/gu, '_')}`;
}

function upperName(name: string): string {
  return name.toUpperCase().replaceAll('-', '_');
}

function headerOf(rawHeaders: readonly string[], lowerName: string): string {
  const at = rawHeaders.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === lowerName);
  return at === -1 ? '' : (rawHeaders[at + 1] ?? '');
}

function splitOnce(text: string, mark: string): string[] {
  const at = text.indexOf(mark);
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + mark.length)];
}
