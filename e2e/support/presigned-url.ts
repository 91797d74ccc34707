import { createHash, createHmac } from 'node:crypto';
import type { Platform } from '@thaw/testkit/platform.ts';

export interface PresignedRequest {
  readonly method: string;
  /** Percent-encoded. */
  readonly path: string;
  readonly expiresS: number;
  readonly at: Date;
}

/** An address signed by AWS' rules (Signature Version 4, "authenticating requests: using query parameters"). */
export function presignedUrl(
  url: string,
  { accessKeyId, accessKeySecret }: Platform['credentials'],
  { method, path, expiresS, at }: PresignedRequest,
): string {
  const date = at.toISOString().replaceAll(/[-:]|\.\d{3}/g, '');
  const scope = `${date.slice(0, 8)}/local/s3/aws4_request`;
  const query = [
    ['X-Amz-Algorithm', 'AWS4-HMAC-SHA256'],
    ['X-Amz-Credential', `${accessKeyId}/${scope}`],
    ['X-Amz-Date', date],
    ['X-Amz-Expires', String(expiresS)],
    ['X-Amz-SignedHeaders', 'host'],
  ]
    .map(([name = '', value = '']) => `${name}=${encodeURIComponent(value)}`)
    .join('&');
  const { host } = new URL(url);
  const canonical = [method, path, query, `host:${host}\n`, 'host', 'UNSIGNED-PAYLOAD'].join('\n');
  const digest = createHash('sha256').update(canonical).digest('hex');
  const key = scope
    .split('/')
    .reduce<Buffer>((last, part) => hmac(last, part), Buffer.from(`AWS4${accessKeySecret}`));
  const signature = hmac(key, `AWS4-HMAC-SHA256\n${date}\n${scope}\n${digest}`).toString('hex');
  return `${url}${path}?${query}&X-Amz-Signature=${signature}`;
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
