/** What happened to an object or a file, whichever it was. */
export interface OssHappening {
  /** `ObjectCreated:PutObject` and the like. */
  readonly event: string;
  readonly bucket: string;
  /** The bucket's, or of a directory its URL. */
  readonly arn: string;
  readonly key: string;
  readonly size: number;
  readonly deltaSize: number;
  readonly etag: string;
  readonly contentType: string;
  readonly timeMs: number;
  readonly sourceIp: string;
  readonly requestId: string;
  readonly principalId: string;
  /** Of a file: where it is on the platform's machine. */
  readonly path?: string;
}

export interface OssPlace {
  readonly region: string;
  readonly accountId: string;
}

/** The event in the shape that OSS triggers of Function Compute send ("formats of event for different triggers"). */
export function ossEvent(happening: OssHappening, ruleId: string, { region, accountId }: OssPlace): Buffer {
  const { bucket, arn, key, path, contentType } = happening;
  const event = {
    eventName: happening.event,
    eventSource: 'acs:oss',
    eventTime: new Date(happening.timeMs).toISOString(),
    eventVersion: '1.0',
    oss: {
      bucket: { arn, name: bucket, ownerIdentity: accountId, virtualBucket: '' },
      object: {
        deltaSize: happening.deltaSize,
        eTag: happening.etag.toUpperCase(),
        key,
        objectMeta: { mimeType: contentType },
        size: happening.size,
        ...(path === undefined ? {} : { path }),
      },
      ossSchemaVersion: '1.0',
      ruleId,
    },
    region,
    requestParameters: { sourceIPAddress: happening.sourceIp },
    responseElements: { requestId: happening.requestId },
    userIdentity: { principalId: happening.principalId },
  };
  return Buffer.from(JSON.stringify({ events: [event] }));
}

export function bucketArn(bucket: string, { region, accountId }: OssPlace): string {
  return `acs:oss:${region}:${accountId}:${bucket}`;
}
