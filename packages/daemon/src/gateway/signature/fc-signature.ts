import type { SignedRequest } from './signed-request.ts';

export interface KeyedSignature {
  readonly accessKeyId: string;
  /** Base64. */
  readonly signature: string;
}

/** Reads `FC <access key id>:<signature>`; undefined when it is not that. */
export function parseFcAuthorization(value: string): KeyedSignature | undefined {
  return parseKeyedSignature('FC ', value);
}

export function parseKeyedSignature(scheme: string, value: string): KeyedSignature | undefined {
  if (!value.startsWith(scheme)) return undefined;
  const colon = value.lastIndexOf(':');
  if (colon <= scheme.length) return undefined;
  return { accessKeyId: value.slice(scheme.length, colon), signature: value.slice(colon + 1) };
}

/**
 * The texts that a client may have signed. The path is signed decoded; a query is signed as sorted `name=value` lines
 * and never left out. Without one, clients differ in whether an empty line stands in its place.
 */
export function fcStringsToSign(request: SignedRequest): readonly string[] {
  const { headers } = request;
  let fcHeaders = '';
  for (const name of Object.keys(headers).toSorted()) {
    if (name.startsWith('x-fc-')) fcHeaders += `${name}:${headers[name] ?? ''}\n`;
  }
  const head = `${request.method}\n${headers['content-md5'] ?? ''}\n${headers['content-type'] ?? ''}\n${headers['date'] ?? ''}\n${fcHeaders}${decoded(request.path)}`;
  if (request.query === '') return [head, `${head}\n`];
  const pairs = [...new URLSearchParams(request.query)].map(([name, value]) => `${name}=${value}`);
  return [`${head}\n${pairs.toSorted().join('\n')}`];
}

/** A path that is not valid percent-encoding is taken as it stands. */
function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
