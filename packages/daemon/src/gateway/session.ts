import { randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { SessionAffinity } from '../model/session-affinity.ts';

/** FC's own rule. It also keeps a name harmless in whatever it is written into. */
const SESSION_ID = /^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$/;
const NEW_ID_BYTES = 16;

export interface RequestSession {
  readonly id: string;
  /** A header for the function, which sees the session's name also where the platform has just made it. */
  readonly requestHeader: readonly [name: string, value: string] | undefined;
  /** Flat headers for the client, which names the session with them from now on. */
  readonly answerHeaders: readonly string[];
}

/**
 * The session that a request belongs to: the one it names, else a new one. Throws INVALID_ARGUMENT for a header that
 * cannot be a session's name; a cookie that cannot is replaced, since browsers send what they have.
 */
export function sessionOf(affinity: SessionAffinity, headers: IncomingHttpHeaders): RequestSession {
  const { kind, name, ttlMs } = affinity;
  if (kind === 'header') {
    const given = headers[name];
    if (given === undefined || given === '') {
      const id = newSessionId();
      return { id, requestHeader: [name, id], answerHeaders: [name, id] };
    }
    if (typeof given !== 'string' || !SESSION_ID.test(given)) {
      throw new ThawError(
        'INVALID_ARGUMENT',
        `header ${name} must name a session with 1 to 64 letters, digits, "_" or "-", the first one no "-"`,
      );
    }
    return { id: given, requestHeader: undefined, answerHeaders: [name, given] };
  }
  const given = cookieIn(headers.cookie, name);
  if (given !== undefined && SESSION_ID.test(given))
    return { id: given, requestHeader: undefined, answerHeaders: [] };
  const id = newSessionId();
  const attributes = `Path=/; Max-Age=${Math.floor(ttlMs / 1000)}; HttpOnly; SameSite=Lax`;
  return {
    id,
    requestHeader: ['Cookie', `${name}=${id}`],
    answerHeaders: ['Set-Cookie', `${name}=${id}; ${attributes}`],
  };
}

/** The request's headers as the function gets them. Cookies are one header (RFC 6265, section 5.4). */
export function withSession(rawHeaders: readonly string[], session: RequestSession): readonly string[] {
  if (session.requestHeader === undefined) return rawHeaders;
  const [name, value] = session.requestHeader;
  const at = rawHeaders.findIndex(
    (text, index) => index % 2 === 0 && text.toLowerCase() === name.toLowerCase(),
  );
  if (at === -1) return [...rawHeaders, name, value];
  const given = rawHeaders[at + 1] ?? '';
  return rawHeaders.with(at + 1, given === '' ? value : `${given}; ${value}`);
}

function newSessionId(): string {
  return randomBytes(NEW_ID_BYTES).toString('hex');
}

/** RFC 6265, section 4.2.1; the first of several cookies with the name. */
function cookieIn(header: string | undefined, name: string): string | undefined {
  for (const pair of header?.split(';') ?? []) {
    const at = pair.indexOf('=');
    if (at !== -1 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim();
  }
  return undefined;
}
