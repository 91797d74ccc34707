import { createHmac } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { percentEncode } from '@thaw/protocol/acs3.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { type Client, nativePath } from './client.ts';
import { fcSignedHeaders } from './fc-signature.ts';
import type { InfoAnswer } from './wire.ts';

/** The `code` field of CreateFunction, UpdateFunction and CreateLayerVersion. */
export type CodeReference =
  | { readonly zipFile: string }
  | { readonly ossBucketName: string; readonly ossObjectName: string };

export interface ZipOnDisk {
  readonly file: string;
  /** Bytes. */
  readonly size: number;
}

interface UploadTicket {
  readonly credentials: {
    readonly AccessKeyId: string;
    readonly AccessKeySecret: string;
    readonly SecurityToken: string;
  };
  readonly ossBucket: string;
  readonly objectName: string;
}

const TICKET_PATH = '/2016-08-15/tempBucketToken';
const ZIP_TYPE = 'application/zip';

/** Code within the limit travels in the call itself; more is uploaded first and then referred to. */
export async function sendCode(
  client: Client,
  zip: ZipOnDisk,
  inlineBytesMax: number = LIMITS.codeZipBytesMax,
): Promise<CodeReference> {
  if (zip.size <= inlineBytesMax) return { zipFile: (await readFile(zip.file)).toString('base64') };
  return uploadCode(client, zip);
}

/** The way of the Serverless Devs component: ask for a place and a key to it, PUT the zip there. */
async function uploadCode(client: Client, zip: ZipOnDisk): Promise<CodeReference> {
  const ticket = await client.json<UploadTicket>({ method: 'GET', path: TICKET_PATH, sign: fcSignedHeaders });
  const { accountId } = await client.json<InfoAnswer>({ method: 'GET', path: nativePath('info') });
  const ossObjectName = `${accountId}/${ticket.objectName}`;
  const request = client.start({
    method: 'PUT',
    path: `/${ossObjectName.split('/').map(percentEncode).join('/')}`,
    sign: () => ossHeaders(ticket, ossObjectName, zip.size, new Date()),
  });
  // An early refusal closes the connection under the upload; the answer says more than that does.
  const answer = client.response(request);
  const [sent, answered] = await Promise.allSettled([pipeline(createReadStream(zip.file), request), answer]);
  if (answered.status === 'rejected') throw answered.reason;
  await buffer(answered.value);
  if (sent.status === 'rejected') {
    throw new ThawError('PLATFORM_UNREACHABLE', 'uploading the code', { cause: sent.reason });
  }
  return { ossBucketName: ticket.ossBucket, ossObjectName };
}

/** OSS's header signature (version 1), as the official client ali-oss sends it. */
function ossHeaders(
  ticket: UploadTicket,
  objectName: string,
  size: number,
  now: Date,
): Record<string, string> {
  const date = now.toUTCString();
  const { AccessKeyId, AccessKeySecret, SecurityToken } = ticket.credentials;
  const resource = `/${ticket.ossBucket}/${objectName}`;
  const text = `PUT\n\n${ZIP_TYPE}\n${date}\nx-oss-date:${date}\nx-oss-security-token:${SecurityToken}\n${resource}`;
  const signature = createHmac('sha1', AccessKeySecret).update(text).digest('base64');
  return {
    'content-length': String(size),
    'content-type': ZIP_TYPE,
    'x-oss-date': date,
    'x-oss-security-token': SecurityToken,
    authorization: `OSS ${AccessKeyId}:${signature}`,
  };
}
