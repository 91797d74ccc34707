import { createHash, createHmac } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { percentEncode } from '@thaw/protocol/acs3.ts';
import type { Call, Client } from './client.ts';

/** The platform's object store speaks S3; these are the few words of it that the commands need. */

const REGION = 'local';
/** More pages than this mean that a platform answers the same token forever. */
const PAGES_MAX = 100_000;
export const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD';

export interface ObjectCall {
  readonly method: 'GET' | 'PUT' | 'DELETE';
  readonly bucket?: string;
  readonly key?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** Hex SHA-256 of the body, where it is known before it is sent. */
  readonly bodySha256?: string;
}

export interface ListedObject {
  readonly key: string;
  readonly size: number;
  readonly etag: string;
  readonly lastModified: string;
}

/** The call as S3 wants it: at `/s3`, signed with Signature Version 4. */
export function s3Call(call: ObjectCall): Call {
  const { method, bucket, key, query = {}, headers = {}, bodySha256 = UNSIGNED_PAYLOAD } = call;
  const path = ['', 's3', bucket, key]
    .filter((part) => part !== undefined)
    .map((part) => part.split('/').map(percentEncode).join('/'))
    .join('/');
  return {
    method,
    path,
    query,
    headers,
    sign: (_method, signedPath, platform, now) => {
      const date = now.toISOString().replaceAll(/[-:]|\.\d{3}/g, '');
      const scope = `${date.slice(0, 8)}/${REGION}/s3/aws4_request`;
      const signed: Record<string, string> = {
        host: new URL(platform.url).host,
        'x-amz-content-sha256': bodySha256,
        'x-amz-date': date,
      };
      const canonical = [
        method,
        signedPath,
        Object.entries(query)
          .map(([name, value]) => `${percentEncode(name)}=${percentEncode(value)}`)
          .toSorted()
          .join('&'),
        ...Object.entries(signed).map(([name, value]) => `${name}:${value}`),
        '',
        Object.keys(signed).join(';'),
        bodySha256,
      ].join('\n');
      const digest = createHash('sha256').update(canonical).digest('hex');
      const signingKey = scope
        .split('/')
        .reduce<Buffer>((last, part) => hmac(last, part), Buffer.from(`AWS4${platform.accessKeySecret}`));
      const signature = hmac(signingKey, `AWS4-HMAC-SHA256\n${date}\n${scope}\n${digest}`).toString('hex');
      const credential = `${platform.accessKeyId}/${scope}`;
      return {
        ...signed,
        authorization: `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${Object.keys(signed).join(';')}, Signature=${signature}`,
      };
    },
  };
}

/** Every object of the bucket whose key begins so, page by page. */
export async function* listObjects(
  client: Client,
  bucket: string,
  prefix: string,
): AsyncGenerator<readonly ListedObject[]> {
  let token: string | undefined;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const query = {
      'list-type': '2',
      'encoding-type': 'url',
      prefix,
      ...(token === undefined ? {} : { 'continuation-token': token }),
    };
    const answer = await text(await client.open(s3Call({ method: 'GET', bucket, query })));
    yield contentsOf(answer, 'Contents').map((item) => ({
      key: decodeURIComponent(valueOf(item, 'Key')),
      size: Number(valueOf(item, 'Size')),
      etag: valueOf(item, 'ETag').replaceAll(/&quot;|"/g, ''),
      lastModified: valueOf(item, 'LastModified'),
    }));
    token = valueOf(answer, 'NextContinuationToken');
    if (token === '') return;
  }
}

export async function listBuckets(
  client: Client,
): Promise<readonly { readonly name: string; readonly created: string }[]> {
  const answer = await text(await client.open(s3Call({ method: 'GET' })));
  return contentsOf(answer, 'Bucket').map((item) => ({
    name: valueOf(item, 'Name'),
    created: valueOf(item, 'CreationDate'),
  }));
}

/** What stands inside each element of this name. The store's own answers are flat, and names in them are encoded. */
function contentsOf(xml: string, element: string): string[] {
  return [...xml.matchAll(new RegExp(`<${element}>(.*?)</${element}>`, 'gs'))].map(([, inner = '']) => inner);
}

function valueOf(xml: string, element: string): string {
  return contentsOf(xml, element)[0] ?? '';
}

function hmac(key: Buffer, message: string): Buffer {
  return createHmac('sha256', key).update(message).digest();
}
