import type { CallerRequest } from './door.ts';

/** A request's headers with repeated ones joined: one text by lower-case name. */
export function plainHeaders(request: CallerRequest): Record<string, string> {
  const plain: Record<string, string> = {};
  for (const name in request.headers) {
    const value = request.headers[name];
    if (value !== undefined) plain[name] = typeof value === 'string' ? value : value.join(', ');
  }
  return plain;
}
