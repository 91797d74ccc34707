import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { isBucketName } from './bucket-name.ts';
import type { OssTrigger, Trigger } from './trigger.ts';

/** What an object trigger listens to: a bucket of the platform's, or a directory of its machine. */
export type OssOrigin =
  | { readonly kind: 'bucket'; readonly bucket: string }
  | { readonly kind: 'directory'; readonly path: string };

const OSS_ARN = /^acs:oss:[^:]*:[^:]*:([^:/]+)$/;

/** Throws INVALID_ARGUMENT where none is named, or two that differ. */
export function ossOrigin(trigger: Pick<OssTrigger, 'sourceArn' | 'config'>): OssOrigin {
  const { sourceArn, config } = trigger;
  const ofArn = OSS_ARN.exec(sourceArn)?.[1];
  const bucket = config.bucketName ?? ofArn;
  if (config.path !== undefined) {
    if (bucket === undefined) return { kind: 'directory', path: config.path };
    throw refused('triggerConfig', 'names both a bucket and a path; a trigger listens to one of them');
  }
  if (sourceArn !== '' && ofArn === undefined)
    throw refused('sourceArn', "must name a bucket like 'acs:oss:region:account:bucket'");
  if (bucket === undefined)
    throw refused(
      'sourceArn',
      "must name a bucket like 'acs:oss:region:account:bucket', or triggerConfig.bucketName",
    );
  if (ofArn !== undefined && ofArn !== bucket)
    throw refused('triggerConfig', `names the bucket '${bucket}' and sourceArn the bucket '${ofArn}'`);
  if (!isBucketName(bucket))
    throw refused('sourceArn', `names '${bucket}', which cannot be the name of a bucket`);
  return { kind: 'bucket', bucket };
}

/** The buckets that these triggers listen to, and which their functions may therefore use. */
export function* bucketsOf(triggers: Iterable<Trigger>): Generator<string> {
  for (const trigger of triggers) {
    if (trigger.triggerType !== 'oss') continue;
    const bucket = trigger.config.bucketName ?? OSS_ARN.exec(trigger.sourceArn)?.[1];
    if (bucket !== undefined && trigger.config.path === undefined) yield bucket;
  }
}

function refused(field: string, text: string): ThawError {
  return new ThawError('INVALID_ARGUMENT', `${field} ${text}`, { details: { field } });
}
