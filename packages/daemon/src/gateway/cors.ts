import type { IncomingHttpHeaders } from 'node:http';
import type { CorsConfig } from '../model/trigger.ts';

/** CORS headers for an answer to `origin`, or none where the trigger does not allow it (Fetch standard, section 3.3). */
export function corsHeaders(config: CorsConfig, origin: string | undefined): string[] {
  if (origin === undefined || !isAllowedOrigin(config, origin)) return [];
  const headers = ['Access-Control-Allow-Origin', originToAllow(config, origin), 'Vary', 'Origin'];
  if (config.allowCredentials) headers.push('Access-Control-Allow-Credentials', 'true');
  if (config.exposeHeaders.length > 0)
    headers.push('Access-Control-Expose-Headers', config.exposeHeaders.join(', '));
  return headers;
}

/** Whether the browser asks for permission; such a request is answered by the platform and reaches no function. */
export function isPreflight(method: string, headers: IncomingHttpHeaders): boolean {
  return method === 'OPTIONS' && headers.origin !== undefined && 'access-control-request-method' in headers;
}

export function preflightHeaders(config: CorsConfig, headers: IncomingHttpHeaders): string[] {
  const allowed = corsHeaders(config, headers.origin);
  if (allowed.length === 0) return [];
  const requested = headers['access-control-request-headers'];
  const allowsAny = config.allowHeaders.includes('*');
  const names = allowsAny && requested !== undefined ? requested : config.allowHeaders.join(', ');
  allowed.push('Access-Control-Allow-Methods', config.allowMethods.join(', '));
  if (names !== '') allowed.push('Access-Control-Allow-Headers', names);
  allowed.push('Access-Control-Max-Age', String(config.maxAge));
  return allowed;
}

function isAllowedOrigin(config: CorsConfig, origin: string): boolean {
  return config.allowOrigins.some(
    (allowed) => allowed === '*' || allowed === origin || matchesWildcard(allowed, origin),
  );
}

/** With credentials a browser takes no `*`, so the origin itself is named. */
function originToAllow(config: CorsConfig, origin: string): string {
  return config.allowOrigins.includes('*') && !config.allowCredentials ? '*' : origin;
}

/** `https://*.example.com` allows every sub-domain. */
function matchesWildcard(allowed: string, origin: string): boolean {
  const at = allowed.indexOf('*');
  if (at === -1) return false;
  const before = allowed.slice(0, at);
  const after = allowed.slice(at + 1);
  return origin.length > allowed.length - 1 && origin.startsWith(before) && origin.endsWith(after);
}
