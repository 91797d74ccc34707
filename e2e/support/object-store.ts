import { GetObjectCommand, NoSuchKey, S3Client } from '@aws-sdk/client-s3';
import type { TestContext } from 'node:test';
import fc from '@alicloud/fc20230330';
import { afterTest } from '@thaw/testkit/after-test.ts';
import { fcClient, type Platform } from '@thaw/testkit/platform.ts';

/** The unmodified client, with the platform's own key. */
export function s3Client(t: TestContext, { url, credentials }: Platform): S3Client {
  const { accessKeyId, accessKeySecret } = credentials;
  const client = new S3Client({
    endpoint: `${url}/s3`,
    region: 'local',
    credentials: { accessKeyId, secretAccessKey: accessKeySecret },
    maxAttempts: 1,
  });
  afterTest(t, () => client.destroy());
  return client;
}

/** Creates the trigger `files` with the official client. */
export async function createOssTrigger(
  platform: Platform,
  functionName: string,
  config: object,
  sourceArn = '',
): Promise<void> {
  const body = new fc.CreateTriggerInput({
    triggerName: 'files',
    triggerType: 'oss',
    triggerConfig: JSON.stringify(config),
    sourceArn,
    invocationRole: 'acs:ram::1:role/any',
  });
  await fcClient(platform).createTrigger(functionName, new fc.CreateTriggerRequest({ body }));
}

/** Undefined where there is no such object. */
export async function textOf(s3: S3Client, Bucket: string, Key: string): Promise<string | undefined> {
  try {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
    return await Body?.transformToString();
  } catch (error) {
    if (error instanceof NoSuchKey) return undefined;
    throw error;
  }
}
