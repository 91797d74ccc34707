/**
 * Headers that speak of one connection and end with it (RFC 9110, section 7.6.1), and `Expect`, which the gateway has
 * met already.
 */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'expect',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

const CONNECTION = 'connection';

/** Names and values in turn without those of the connection, also the ones that `Connection` itself names. */
export function forwardedHeaders(rawHeaders: readonly string[]): string[] {
  const named = namedByConnection(rawHeaders);
  const forwarded: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? '';
    const lowerName = name.toLowerCase();
    if (HOP_BY_HOP.has(lowerName) || named?.has(lowerName) === true) continue;
    forwarded.push(name, rawHeaders[at + 1] ?? '');
  }
  return forwarded;
}

/** The value of the first header of this name, in lower case. */
export function headerValue(rawHeaders: readonly string[], lowerName: string): string | undefined {
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    if (rawHeaders[at]?.toLowerCase() === lowerName) return rawHeaders[at + 1];
  }
  return undefined;
}

/** Headers that end with the connection because its sender says so, in lower case. */
export function namedByConnection(rawHeaders: readonly string[]): ReadonlySet<string> | undefined {
  let named: Set<string> | undefined;
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? '';
    if (name.length !== CONNECTION.length || name.toLowerCase() !== CONNECTION) continue;
    for (const token of (rawHeaders[at + 1] ?? '').split(',')) {
      const option = token.trim().toLowerCase();
      if (option === '' || option === 'close' || option === 'keep-alive') continue;
      // A sender cannot make us take away what says how long the message is or whom it is for.
      if (option !== 'content-length' && option !== 'host') (named ??= new Set()).add(option);
    }
  }
  return named;
}
