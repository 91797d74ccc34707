import { createHmac } from 'node:crypto';
import type { Platform } from './platform.ts';

/** Headers of a request without query and body in FC 2.0's scheme, which the upload path has kept. */
export function fcSignedHeaders(
  method: string,
  path: string,
  platform: Pick<Platform, 'accessKeyId' | 'accessKeySecret'>,
  now: Date,
): Record<string, string> {
  const date = now.toUTCString();
  const text = `${method}\n\n\n${date}\n${path}`;
  const signature = createHmac('sha256', platform.accessKeySecret).update(text).digest('base64');
  return { date, authorization: `FC ${platform.accessKeyId}:${signature}` };
}
