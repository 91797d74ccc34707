import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { startPlatform, temporaryDirectory, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { createFunction, invoke } from './support/functions.ts';
import { createOssTrigger, s3Client, textOf } from './support/object-store.ts';

const FUNCTION = await readFile(join(import.meta.dirname, 'fixtures/s3-function.cjs'), 'utf8');
const KILLS = 2;
const UPLOADS_BEFORE_KILL_MAX = 15;
/** A function starts within this, also where the machine has much else to do. */
const DELIVERY_MS_MAX = 60_000;

test('objects', async (all) => {
  const platform = await startPlatform(all);
  const s3 = s3Client(all, platform);
  await all.test('an upload calls the function, which reads the object with its own credentials', () =>
    ofUploads(platform, s3),
  );
  await all.test('a removal is told too, to whoever asked for it', () => ofRemovals(platform, s3));
});

async function ofUploads(platform: Platform, s3: S3Client): Promise<void> {
  await s3.send(new CreateBucketCommand({ Bucket: 'pictures' }));
  await createFunction(platform, 'reader', { code: FUNCTION });
  // An instance from before the grant has no way to the bucket, and makes room for one that has.
  assert.equal((await invoke(platform, 'reader', '{"variables":true}')).status, 200);
  const filter = { key: { prefix: 'in/', suffix: '.txt' } };
  const arn = 'acs:oss:local:1000000000000000:pictures';
  await createOssTrigger(platform, 'reader', { events: ['oss:ObjectCreated:*'], filter }, arn);

  const put = (Key: string, Body: string): Promise<unknown> =>
    s3.send(new PutObjectCommand({ Bucket: 'pictures', Key, Body }));
  await put('in/other.png', 'not wanted');
  await put('elsewhere.txt', 'not wanted');
  await put('in/one.txt', 'uploaded');
  assert.equal(await outcomeOf(s3, 'in_one.txt'), '200 uploaded');

  const target = { Bucket: 'pictures', Key: 'in/parts.txt' };
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand(target));
  const { ETag } = await s3.send(
    new UploadPartCommand({ ...target, UploadId, PartNumber: 1, Body: 'in parts' }),
  );
  const MultipartUpload = { Parts: [{ ETag, PartNumber: 1 }] };
  await s3.send(new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload }));
  assert.equal(await outcomeOf(s3, 'in_parts.txt'), '200 in parts');

  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: 'pictures', Prefix: 'out/' }));
  assert.deepEqual(
    Contents.map(({ Key }) => Key),
    ['out/in_one.txt', 'out/in_parts.txt'],
  );
}

async function ofRemovals(platform: Platform, s3: S3Client): Promise<void> {
  await createFunction(platform, 'remover', { code: FUNCTION });
  const events = ['oss:ObjectRemoved:DeleteObject'];
  await createOssTrigger(platform, 'remover', { events, bucketName: 'pictures' });
  await s3.send(new PutObjectCommand({ Bucket: 'pictures', Key: 'short-lived', Body: 'x' }));
  await s3.send(new DeleteObjectCommand({ Bucket: 'pictures', Key: 'short-lived' }));
  assert.match(await outcomeOf(s3, 'short-lived'), /^404 .*NoSuchKey/su);
}

test('every acknowledged upload calls the function, whenever the platform is killed', async (t) => {
  const dataDir = await temporaryDirectory(t, 'thaw data ');
  const acknowledged: string[] = [];
  for (let kill = 0; kill < KILLS; kill += 1) {
    const platform = await startPlatform(t, { dataDir });
    const s3 = s3Client(t, platform);
    if (kill === 0) {
      await s3.send(new CreateBucketCommand({ Bucket: 'pictures' }));
      await createFunction(platform, 'reader', { code: FUNCTION });
      const filter = { key: { prefix: 'in/' } };
      await createOssTrigger(platform, 'reader', {
        events: ['oss:ObjectCreated:*'],
        filter,
        bucketName: 'pictures',
      });
    }
    const wanted = acknowledged.length + 1 + Math.floor(Math.random() * UPLOADS_BEFORE_KILL_MAX);
    let ended: unknown;
    const uploading = (async () => {
      for (let n = 0; ; n += 1) {
        const name = `${kill}-${n}`;
        await s3.send(new PutObjectCommand({ Bucket: 'pictures', Key: `in/${name}`, Body: name }));
        acknowledged.push(name);
      }
    })().catch((error: unknown) => {
      ended = error;
    });
    await waitFor(
      `${wanted} uploads`,
      () => {
        assert.equal(ended, undefined, 'nothing but the crash ends the uploads');
        return acknowledged.length >= wanted;
      },
      DELIVERY_MS_MAX,
    );
    await platform.kill();
    await uploading;
  }
  const platform = await startPlatform(t, { dataDir });
  const s3 = s3Client(t, platform);
  for (const name of acknowledged) assert.equal(await outcomeOf(s3, `in_${name}`), `200 ${name}`);
  t.diagnostic(`${acknowledged.length} uploads, ${KILLS} kills`);
});

/** What the function wrote about the object. */
function outcomeOf(s3: S3Client, name: string): Promise<string> {
  return waitFor(
    `the function to have read ${name}`,
    () => textOf(s3, 'pictures', `out/${name}`),
    DELIVERY_MS_MAX,
  );
}
