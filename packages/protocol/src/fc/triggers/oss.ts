import { z } from 'zod';
import { allowed, text } from '../fields.ts';

/** OSS's names of what can happen to an object, as far as it can happen here. */
export const OSS_EVENTS = [
  'oss:ObjectCreated:*',
  'oss:ObjectCreated:PutObject',
  'oss:ObjectCreated:PostObject',
  'oss:ObjectCreated:CopyObject',
  'oss:ObjectCreated:CompleteMultipartUpload',
  'oss:ObjectCreated:AppendObject',
  'oss:ObjectRemoved:*',
  'oss:ObjectRemoved:DeleteObject',
  'oss:ObjectRemoved:DeleteObjects',
] as const;

const event = z.enum(OSS_EVENTS, { error: allowed(`one of ${OSS_EVENTS.join(', ')}`) });

const keyFilter = z.object(
  { prefix: text(1024).default(''), suffix: text(1024).default('') },
  { error: allowed('an object') },
);

/**
 * What `triggerConfig` of an object trigger says. The bucket is named by the trigger's `sourceArn`, as in FC, or by
 * `bucketName`. With `path` it is a directory of the platform's machine that is watched instead.
 */
export const ossTriggerConfig = z.object(
  {
    events: z
      .array(event, { error: allowed('a list of event names') })
      .min(1, { error: 'must hold an event at least' })
      .max(10, { error: 'must hold at most 10 events' }),
    filter: z.object({ key: keyFilter.optional() }, { error: allowed('an object') }).default({}),
    bucketName: text(63).optional(),
    path: text(1024).startsWith('/', { error: 'must be an absolute path' }).optional(),
  },
  { error: allowed('the text of a JSON object') },
);
export type OssTriggerConfig = z.infer<typeof ossTriggerConfig>;
