import { createHash, createHmac, randomUUID } from 'node:crypto';
import {
  acs3Authorization,
  acs3CanonicalRequest,
  acs3HeadersToSign,
  acs3StringToSign,
  EMPTY_SHA256,
} from '@thaw/protocol/acs3.ts';
import type { Platform } from './platform.ts';

export const API_VERSION = '2023-03-30';

export interface UnsignedRequest {
  readonly method: string;
  /** Percent-encoded, without the query. */
  readonly path: string;
  /** Without the `?`. */
  readonly query: string;
  readonly host: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | undefined;
}

/** The headers to send: those given, lower case, and the ACS3 signature over them. */
export function acs3Headers(
  request: UnsignedRequest,
  platform: Pick<Platform, 'accessKeyId' | 'accessKeySecret'>,
  now: Date,
): Record<string, string> {
  const bodySha256 =
    request.body === undefined ? EMPTY_SHA256 : createHash('sha256').update(request.body).digest('hex');
  const headers: Record<string, string> = {
    ...request.headers,
    host: request.host,
    'x-acs-version': API_VERSION,
    'x-acs-date': `${now.toISOString().slice(0, 19)}Z`,
    'x-acs-signature-nonce': randomUUID(),
    'x-acs-content-sha256': bodySha256,
    'x-acs-credentials-provider': 'static_ak',
  };
  const names = acs3HeadersToSign(headers);
  const canonical = acs3CanonicalRequest({
    method: request.method,
    path: request.path,
    query: request.query,
    headers,
    signedHeaders: names,
    bodySha256,
  });
  const stringToSign = acs3StringToSign(createHash('sha256').update(canonical).digest('hex'));
  const signature = createHmac('sha256', platform.accessKeySecret).update(stringToSign).digest('hex');
  headers['authorization'] = acs3Authorization({
    accessKeyId: platform.accessKeyId,
    signedHeaders: names,
    signature,
  });
  return headers;
}
