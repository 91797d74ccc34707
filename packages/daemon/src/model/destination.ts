import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { isBucketName } from './bucket-name.ts';

/** Where the outcome of an asynchronous invocation goes. */
export type Destination =
  | { readonly kind: 'function'; readonly functionName: string; readonly qualifier: string | undefined }
  | { readonly kind: 'queue'; readonly queueName: string }
  | { readonly kind: 'url'; readonly url: string }
  /** `<prefix><task id>.json` in the bucket. */
  | { readonly kind: 'object'; readonly bucket: string; readonly prefix: string };

const FORMS =
  'acs:fc:<region>:<account>:functions/<name>[/<qualifier>], acs:mns:<region>:<account>:/queues/<name>/messages, ' +
  'queue:<name>, http(s)://..., acs:oss:<region>:<account>:<bucket>/<prefix> or oss:<bucket>/<prefix>';
const FUNCTION =
  /^acs:fc:[^:]*:[^:]*:functions\/([A-Za-z_][A-Za-z0-9_-]{0,63})(?:\/([A-Za-z0-9_][A-Za-z0-9_-]{0,127}))?$/;
const QUEUE = /^(?:acs:mns:[^:]*:[^:]*:\/?queues\/([^/]+)(?:\/messages)?|queue:(.+))$/;
const OBJECT = /^(?:acs:oss:[^:]*:[^:]*:|oss:)([^/]+)(?:\/(.*))?$/;
const QUEUE_NAME = /^[A-Za-z_][A-Za-z0-9_-]{0,127}$/;

/** Regions and accounts may be anybody's: files from elsewhere name their own. Throws INVALID_ARGUMENT. */
export function parseDestination(text: string, field = 'destination'): Destination {
  const destination = destinationIn(text);
  if (destination !== undefined) return destination;
  throw new ThawError('INVALID_ARGUMENT', `${field} '${text}' is no destination; there are: ${FORMS}`, {
    details: { field },
  });
}

function destinationIn(text: string): Destination | undefined {
  if (/^https?:/i.test(text)) return urlIn(text);
  const [, functionName, qualifier] = FUNCTION.exec(text) ?? [];
  if (functionName !== undefined) return { kind: 'function', functionName, qualifier };
  const [, longName, queueName = longName] = QUEUE.exec(text) ?? [];
  if (queueName !== undefined) return QUEUE_NAME.test(queueName) ? { kind: 'queue', queueName } : undefined;
  const [, bucket, prefix = ''] = OBJECT.exec(text) ?? [];
  if (bucket === undefined || !isBucketName(bucket)) return undefined;
  return { kind: 'object', bucket, prefix };
}

function urlIn(text: string): Destination | undefined {
  const url = URL.parse(text);
  return url === null || url.username !== '' || url.password !== ''
    ? undefined
    : { kind: 'url', url: url.href };
}
