/** How a registry wants to be asked (RFC 9110, section 11.6.1). */
export type Challenge =
  | { readonly scheme: 'basic' }
  | {
      readonly scheme: 'bearer';
      readonly realm: string;
      readonly service: string | undefined;
      readonly scope: string | undefined;
    };

const CHARACTERS_MAX = 4096;
const PARAMETER = /([a-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/giu;

/** The challenge to follow out of a `WWW-Authenticate` header: bearer before basic; undefined where neither is offered. */
export function parseChallenge(header: string): Challenge | undefined {
  const text = header.slice(0, CHARACTERS_MAX);
  const bearer = /(?:^|,)\s*bearer\s/iu.exec(text);
  if (bearer !== null) {
    const parameters = new Map<string, string>();
    for (const [, name = '', quoted, plain] of text.slice(bearer.index).matchAll(PARAMETER)) {
      const key = name.toLowerCase();
      // What comes later may belong to the next challenge.
      if (!parameters.has(key)) parameters.set(key, quoted?.replaceAll(/\\(.)/gu, '$1') ?? plain ?? '');
    }
    const realm = parameters.get('realm');
    if (realm !== undefined && realm !== '') {
      return { scheme: 'bearer', realm, service: parameters.get('service'), scope: parameters.get('scope') };
    }
  }
  return /(?:^|,)\s*basic(?:\s|$)/iu.test(text) ? { scheme: 'basic' } : undefined;
}
