import { createHash, createHmac, randomUUID } from 'node:crypto';
import {
  acs3Authorization,
  acs3CanonicalRequest,
  acs3HeadersToSign,
  acs3StringToSign,
} from '@thaw/protocol/acs3.ts';
import type { Platform } from '@thaw/testkit/platform.ts';
import { send, type Answer } from './http-call.ts';

export interface SignedCall {
  readonly method: string;
  /** Percent-encoded, without the query. */
  readonly path: string;
  readonly query?: string;
  readonly body?: Buffer | string;
  /** Sent besides those of the signature; a name of the signature's own goes before it. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly accessKeySecret?: string;
  readonly accessKeyId?: string;
}

export interface SignedParts {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: Buffer;
}

/** Signs like the official client, and lets a test change any part before or after. */
export function sign(platform: Pick<Platform, 'endpoint' | 'credentials'>, call: SignedCall): SignedParts {
  const body = Buffer.from(call.body ?? '');
  const { accessKeyId, accessKeySecret } = platform.credentials;
  const bodySha256 = createHash('sha256').update(body).digest('hex');
  const headers: Record<string, string> = {
    host: platform.endpoint,
    'x-acs-version': '2023-03-30',
    'x-acs-action': 'Test',
    'x-acs-date': new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
    'x-acs-signature-nonce': randomUUID(),
    'x-acs-content-sha256': bodySha256,
    ...call.headers,
  };
  const query = call.query ?? '';
  const signedHeaders = acs3HeadersToSign(headers);
  const canonical = acs3CanonicalRequest({
    method: call.method,
    path: call.path,
    query,
    headers,
    signedHeaders,
    bodySha256: headers['x-acs-content-sha256'] ?? bodySha256,
  });
  const signature = createHmac('sha256', call.accessKeySecret ?? accessKeySecret)
    .update(acs3StringToSign(createHash('sha256').update(canonical).digest('hex')))
    .digest('hex');
  headers['authorization'] = acs3Authorization({
    accessKeyId: call.accessKeyId ?? accessKeyId,
    signedHeaders,
    signature,
  });
  return { method: call.method, path: query === '' ? call.path : `${call.path}?${query}`, headers, body };
}

export async function signedCall(platform: Platform, call: SignedCall): Promise<Answer> {
  const parts = sign(platform, call);
  return send(platform.url, parts);
}
