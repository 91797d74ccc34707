import type { Readable } from 'node:stream';
import { ThawError } from '@thaw/protocol/thaw-error.ts';

/** How deep JSON may nest: deeper texts are attacks on whoever walks them. */
export const JSON_DEPTH_MAX = 32;

/**
 * The whole body in memory. Throws PAYLOAD_TOO_LARGE as soon as it is, and BODY_TRUNCATED when the client goes away;
 * what comes after the limit is thrown away, so that the client can still read the answer.
 */
export function readBody(body: Buffer | Readable, bytesMax: number): Promise<Buffer> {
  const tooLarge = (): ThawError =>
    new ThawError('PAYLOAD_TOO_LARGE', `the request body is larger than ${bytesMax} bytes`);
  if (Buffer.isBuffer(body)) {
    return body.length > bytesMax ? Promise.reject(tooLarge()) : Promise.resolve(body);
  }
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      if (size <= bytesMax) {
        chunks.push(chunk);
        return;
      }
      body.off('data', onData);
      body.resume();
      reject(tooLarge());
    };
    const truncated = (cause?: unknown): void => {
      reject(new ThawError('BODY_TRUNCATED', 'the request body ended before all of it arrived', { cause }));
    };
    body.on('data', onData);
    body.once('end', () => resolve(Buffer.concat(chunks)));
    body.once('error', truncated);
    // After `end` the promise is settled and this says nothing.
    body.once('close', () => truncated());
  });
}

/** JSON of a body; one without bytes is an empty object. Throws INVALID_JSON. */
export function parseJson(body: Buffer): unknown {
  if (body.length === 0) return {};
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (error) {
    throw new ThawError('INVALID_JSON', 'the request body is not JSON in UTF-8', { cause: error });
  }
  requireShallow(value);
  return value;
}

function requireShallow(root: unknown): void {
  let level: unknown[] = [root];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > JSON_DEPTH_MAX) {
      throw new ThawError('INVALID_JSON', `the request body nests deeper than ${JSON_DEPTH_MAX} levels`);
    }
    level = level.flatMap((value) =>
      typeof value === 'object' && value !== null ? Object.values(value) : [],
    );
  }
}

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** Throws INVALID_ARGUMENT for a text that is not base64; white space in it is overlooked. */
export function decodeBase64(text: string, field: string): Buffer {
  const compact = /\s/.test(text) ? text.replaceAll(/\s+/g, '') : text;
  if (compact.length % 4 === 1 || !BASE64.test(compact)) {
    throw new ThawError('INVALID_ARGUMENT', `${field} is not base64`, { details: { field } });
  }
  return Buffer.from(compact, 'base64');
}
