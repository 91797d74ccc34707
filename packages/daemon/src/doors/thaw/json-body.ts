import { ThawError } from '@thaw/protocol/thaw-error.ts';

/** Throws INVALID_JSON. */
export function jsonBody(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch (cause) {
    throw new ThawError('INVALID_JSON', 'the request body must be JSON', { cause });
  }
}
