import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { Readable } from 'node:stream';
import { test, type TestContext } from 'node:test';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketLocationCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListMultipartUploadsCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { afterTest } from '@thaw/testkit/after-test.ts';
import { startPlatform, type Platform } from '@thaw/testkit/platform.ts';
import { presignedUrl } from './support/presigned-url.ts';

const MIB = 1024 * 1024;
const PART_BYTES = 5 * MIB;

test('the official S3 client lives with the object store', async (all) => {
  const platform = await startPlatform(all, { isolation: 'process' });
  const s3 = clientOf(all, platform);
  await s3.send(new CreateBucketCommand({ Bucket: 'uploads' }));

  await all.test('buckets are made, found, listed and deleted', async () => {
    await s3.send(new HeadBucketCommand({ Bucket: 'uploads' }));
    assert.equal(
      (await s3.send(new GetBucketLocationCommand({ Bucket: 'uploads' }))).LocationConstraint,
      undefined,
    );
    await s3.send(new CreateBucketCommand({ Bucket: 'other' }));
    const { Buckets = [] } = await s3.send(new ListBucketsCommand({}));
    assert.deepEqual(
      Buckets.map(({ Name }) => Name),
      ['other', 'uploads'],
    );
    await s3.send(new PutObjectCommand({ Bucket: 'other', Key: 'x', Body: 'x' }));
    await rejects(s3.send(new DeleteBucketCommand({ Bucket: 'other' })), 'BucketNotEmpty', 409);
    await s3.send(new DeleteObjectCommand({ Bucket: 'other', Key: 'x' }));
    await s3.send(new DeleteBucketCommand({ Bucket: 'other' }));
    await rejects(s3.send(new HeadBucketCommand({ Bucket: 'other' })), 'NotFound', 404);
    await rejects(s3.send(new CreateBucketCommand({ Bucket: 'uploads' })), 'BucketAlreadyOwnedByYou', 409);
    await rejects(s3.send(new CreateBucketCommand({ Bucket: 'Not_A_Name' })), 'InvalidBucketName', 400);
    await rejects(s3.send(new GetObjectCommand({ Bucket: 'other', Key: 'x' })), 'NoSuchBucket', 404);
  });

  await all.test('an object comes back with its bytes, type and metadata', async () => {
    const body = randomBytes(300_000);
    const put = await s3.send(
      new PutObjectCommand({
        Bucket: 'uploads',
        Key: 'a/b c+d?e&f=ä/ключ☃😀',
        Body: body,
        ContentType: 'image/png',
        CacheControl: 'max-age=60',
        Metadata: { who: 'me', empty: '' },
      }),
    );
    const etag = `"${createHash('md5').update(body).digest('hex')}"`;
    assert.equal(put.ETag, etag);
    const got = await s3.send(new GetObjectCommand({ Bucket: 'uploads', Key: 'a/b c+d?e&f=ä/ключ☃😀' }));
    assert.deepEqual(Buffer.from((await got.Body?.transformToByteArray()) ?? []), body);
    const head = await s3.send(new HeadObjectCommand({ Bucket: 'uploads', Key: 'a/b c+d?e&f=ä/ключ☃😀' }));
    for (const answer of [got, head]) {
      assert.equal(answer.ETag, etag);
      assert.equal(answer.ContentType, 'image/png');
      assert.equal(answer.CacheControl, 'max-age=60');
      assert.equal(answer.ContentLength, body.length);
      assert.deepEqual(answer.Metadata, { who: 'me', empty: '' });
    }
    await rejects(s3.send(new GetObjectCommand({ Bucket: 'uploads', Key: 'none' })), 'NoSuchKey', 404);
    await rejects(s3.send(new HeadObjectCommand({ Bucket: 'uploads', Key: 'none' })), 'NotFound', 404);
    const overridden = await s3.send(
      new GetObjectCommand({
        Bucket: 'uploads',
        Key: 'a/b c+d?e&f=ä/ключ☃😀',
        ResponseContentType: 'text/csv',
        ResponseContentDisposition: 'attachment; filename="x y.csv"',
      }),
    );
    overridden.Body?.transformToByteArray().catch(() => undefined);
    assert.equal(overridden.ContentType, 'text/csv');
    assert.equal(overridden.ContentDisposition, 'attachment; filename="x y.csv"');
  });

  await all.test('a body is checked by every checksum, and a stream arrives in chunks', async () => {
    const body = randomBytes(200_000);
    for (const ChecksumAlgorithm of ['CRC32', 'CRC32C', 'SHA1', 'SHA256', 'CRC64NVME'] as const) {
      await s3.send(new PutObjectCommand({ Bucket: 'uploads', Key: 'sum', Body: body, ChecksumAlgorithm }));
      const stream = Readable.from([body.subarray(0, 70_000), body.subarray(70_000)]);
      await s3.send(
        new PutObjectCommand({
          Bucket: 'uploads',
          Key: 'stream',
          Body: stream,
          ContentLength: body.length,
          ChecksumAlgorithm,
        }),
      );
      for (const Key of ['sum', 'stream']) {
        const got = await s3.send(new GetObjectCommand({ Bucket: 'uploads', Key, ChecksumMode: 'ENABLED' }));
        assert.deepEqual(
          Buffer.from((await got.Body?.transformToByteArray()) ?? []),
          body,
          ChecksumAlgorithm,
        );
        assert.equal(got.ContentEncoding, undefined);
      }
    }
    await rejects(
      s3.send(new PutObjectCommand({ Bucket: 'uploads', Key: 'bad', Body: 'x', ChecksumCRC32: 'AAAAAA==' })),
      'BadDigest',
      400,
    );
    await rejects(
      s3.send(
        new PutObjectCommand({
          Bucket: 'uploads',
          Key: 'bad',
          Body: 'x',
          ContentMD5: 'AAAAAAAAAAAAAAAAAAAAAA==',
        }),
      ),
      'BadDigest',
      400,
    );
    await rejects(s3.send(new HeadObjectCommand({ Bucket: 'uploads', Key: 'bad' })), 'NotFound', 404);
  });

  await all.test('ranges and conditions', async () => {
    const { ETag } = await s3.send(
      new PutObjectCommand({ Bucket: 'uploads', Key: 'range', Body: '0123456789' }),
    );
    const text = async (input: Record<string, unknown>): Promise<string | undefined> => {
      const answer = await s3.send(new GetObjectCommand({ Bucket: 'uploads', Key: 'range', ...input }));
      return answer.Body?.transformToString();
    };
    assert.equal(await text({ Range: 'bytes=2-4' }), '234');
    assert.equal(await text({ Range: 'bytes=7-' }), '789');
    assert.equal(await text({ Range: 'bytes=-2' }), '89');
    assert.equal(await text({ Range: 'bytes=5-99' }), '56789');
    const part = await s3.send(new GetObjectCommand({ Bucket: 'uploads', Key: 'range', Range: 'bytes=2-4' }));
    assert.equal(part.ContentRange, 'bytes 2-4/10');
    await part.Body?.transformToString();
    await rejects(text({ Range: 'bytes=10-' }), 'InvalidRange', 416);
    assert.equal(await text({ IfMatch: ETag }), '0123456789');
    await rejects(text({ IfMatch: '"other"' }), 'PreconditionFailed', 412);
    await rejects(text({ IfNoneMatch: ETag }), undefined, 304);
    await rejects(text({ IfModifiedSince: new Date(Date.now() + 60_000) }), undefined, 304);
    await rejects(text({ IfUnmodifiedSince: new Date(0) }), 'PreconditionFailed', 412);
    const onlyNew = { Bucket: 'uploads', Key: 'range', Body: 'x', IfNoneMatch: '*' };
    await rejects(s3.send(new PutObjectCommand(onlyNew)), 'PreconditionFailed', 412);
    await s3.send(new PutObjectCommand({ ...onlyNew, Key: 'fresh' }));
    await s3.send(new PutObjectCommand({ Bucket: 'uploads', Key: 'range', Body: 'y', IfMatch: ETag ?? '' }));
    assert.equal(await text({}), 'y');
  });

  await all.test('an object of three parts of 5 MiB', async () => {
    const target = { Bucket: 'uploads', Key: 'big/three parts' };
    const bodies = [randomBytes(PART_BYTES), randomBytes(PART_BYTES), randomBytes(PART_BYTES)];
    const { UploadId } = await s3.send(
      new CreateMultipartUploadCommand({ ...target, ContentType: 'video/mp4' }),
    );
    const Parts = await Promise.all(
      bodies.map(async (Body, at) => {
        const PartNumber = at + 1;
        const { ETag, ChecksumCRC32 } = await s3.send(
          new UploadPartCommand({ ...target, UploadId, PartNumber, Body }),
        );
        return { ETag, PartNumber, ChecksumCRC32 };
      }),
    );
    const listed = await s3.send(new ListPartsCommand({ ...target, UploadId }));
    assert.deepEqual(
      listed.Parts?.map(({ PartNumber, Size }) => [PartNumber, Size]),
      [1, 2, 3].map((n) => [n, PART_BYTES]),
    );
    const uploads = await s3.send(new ListMultipartUploadsCommand({ Bucket: 'uploads' }));
    assert.deepEqual(
      uploads.Uploads?.map((upload) => upload.UploadId),
      [UploadId],
    );
    const complete = new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts } });
    await rejects(
      s3.send(
        new CompleteMultipartUploadCommand({
          ...target,
          UploadId,
          MultipartUpload: { Parts: Parts.toReversed() },
        }),
      ),
      'InvalidPartOrder',
      400,
    );
    const { ETag } = await s3.send(complete);
    assert.match(ETag ?? '', /^"[0-9a-f]{32}-3"$/u);
    const got = await s3.send(new GetObjectCommand(target));
    assert.equal(got.ContentType, 'video/mp4');
    const bytes = Buffer.from((await got.Body?.transformToByteArray()) ?? []);
    assert.ok(bytes.equals(Buffer.concat(bodies)));
    const across = await s3.send(
      new GetObjectCommand({ ...target, Range: `bytes=${PART_BYTES - 2}-${PART_BYTES + 1}` }),
    );
    assert.deepEqual(
      Buffer.from((await across.Body?.transformToByteArray()) ?? []),
      bytes.subarray(PART_BYTES - 2, PART_BYTES + 2),
    );
    const aborted = await s3.send(new CreateMultipartUploadCommand(target));
    const copied = await s3.send(
      new UploadPartCopyCommand({
        ...target,
        UploadId: aborted.UploadId,
        PartNumber: 1,
        CopySource: `uploads/${encodeURIComponent(target.Key)}`,
        CopySourceRange: 'bytes=0-9',
      }),
    );
    const md5 = createHash('md5').update(bytes.subarray(0, 10)).digest('hex');
    assert.equal(copied.CopyPartResult?.ETag, `"${md5}"`);
    await s3.send(new AbortMultipartUploadCommand({ ...target, UploadId: aborted.UploadId }));
    await rejects(
      s3.send(new ListPartsCommand({ ...target, UploadId: aborted.UploadId })),
      'NoSuchUpload',
      404,
    );
  });

  await all.test('copies', async () => {
    const source = { Bucket: 'uploads', Key: 'from ü' };
    await s3.send(
      new PutObjectCommand({ ...source, Body: 'copied', Metadata: { one: '1' }, ContentType: 'text/x' }),
    );
    const CopySource = `uploads/${encodeURIComponent(source.Key)}`;
    await s3.send(new CopyObjectCommand({ Bucket: 'uploads', Key: 'kept', CopySource }));
    await s3.send(
      new CopyObjectCommand({
        Bucket: 'uploads',
        Key: 'changed',
        CopySource,
        MetadataDirective: 'REPLACE',
        Metadata: { two: '2' },
      }),
    );
    await s3.send(new DeleteObjectCommand(source));
    const kept = await s3.send(new GetObjectCommand({ Bucket: 'uploads', Key: 'kept' }));
    assert.deepEqual(
      [await kept.Body?.transformToString(), kept.Metadata, kept.ContentType],
      ['copied', { one: '1' }, 'text/x'],
    );
    const changed = await s3.send(new HeadObjectCommand({ Bucket: 'uploads', Key: 'changed' }));
    assert.deepEqual(changed.Metadata, { two: '2' });
    await rejects(
      s3.send(new CopyObjectCommand({ Bucket: 'uploads', Key: 'x', CopySource: 'uploads/none' })),
      'NoSuchKey',
      404,
    );
  });

  await all.test('1,100 keys are listed page by page, in both versions, and deleted together', async () => {
    await s3.send(new CreateBucketCommand({ Bucket: 'many' }));
    const keys = Array.from(
      { length: 1100 },
      (_, n) => `dir${n % 3}/<${String(n).padStart(4, '0')}> & "ü"`,
    ).toSorted();
    for (let at = 0; at < keys.length; at += 50) {
      await Promise.all(
        keys
          .slice(at, at + 50)
          .map((Key) => s3.send(new PutObjectCommand({ Bucket: 'many', Key, Body: 'x' }))),
      );
    }
    const found: (string | undefined)[] = [];
    for (let token: string | undefined, isFirst = true; isFirst || token !== undefined; isFirst = false) {
      const page = await s3.send(new ListObjectsV2Command({ Bucket: 'many', ContinuationToken: token }));
      assert.equal(page.KeyCount, page.Contents?.length);
      found.push(...(page.Contents ?? []).map(({ Key }) => Key));
      token = page.NextContinuationToken;
    }
    assert.deepEqual(found, keys);
    const first = await s3.send(new ListObjectsCommand({ Bucket: 'many', MaxKeys: 700 }));
    const rest = await s3.send(new ListObjectsCommand({ Bucket: 'many', Marker: first.NextMarker }));
    assert.deepEqual(
      [...(first.Contents ?? []), ...(rest.Contents ?? [])].map(({ Key }) => Key),
      keys,
    );
    const grouped = await s3.send(new ListObjectsV2Command({ Bucket: 'many', Delimiter: '/' }));
    assert.deepEqual(
      grouped.CommonPrefixes?.map(({ Prefix }) => Prefix),
      ['dir0/', 'dir1/', 'dir2/'],
    );
    for (let at = 0; at < keys.length; at += 1000) {
      const Objects = keys.slice(at, at + 1000).map((Key) => ({ Key }));
      const { Deleted, Errors } = await s3.send(
        new DeleteObjectsCommand({ Bucket: 'many', Delete: { Objects } }),
      );
      assert.deepEqual([Deleted?.length, Errors], [Objects.length, undefined]);
    }
    await s3.send(new DeleteBucketCommand({ Bucket: 'many' }));
  });

  await all.test('who has no right signature gets nothing', async (t) => {
    const { accessKeyId, accessKeySecret } = platform.credentials;
    const list = new ListBucketsCommand({});
    const wrong = clientOf(t, platform, { accessKeyId, secretAccessKey: `${accessKeySecret}x` });
    await rejects(wrong.send(list), 'SignatureDoesNotMatch', 403);
    const unknown = clientOf(t, platform, { accessKeyId: 'NOBODY', secretAccessKey: accessKeySecret });
    await rejects(unknown.send(list), 'InvalidAccessKeyId', 403);
    const token = { accessKeyId, secretAccessKey: accessKeySecret, sessionToken: 'made up' };
    await rejects(clientOf(t, platform, token).send(list), 'InvalidAccessKeyId', 403);
    assert.equal((await send(`${platform.url}/s3/uploads/range`)).status, 403);
    const late = clientOf(t, platform, undefined, -3600_000);
    await rejects(late.send(list), 'RequestTimeTooSkewed', 403);
  });

  await all.test('a presigned address is good for its one request and until it expires', async () => {
    const { credentials, url } = platform;
    const sign = (method: string, path: string, expiresS: number, at = new Date()): string =>
      presignedUrl(url, credentials, { method, path, expiresS, at });
    const put = await send(sign('PUT', '/s3/uploads/presigned', 60), { method: 'PUT', body: 'by address' });
    assert.equal(put.status, 200, put.body);
    const address = sign('GET', '/s3/uploads/presigned', 60);
    assert.deepEqual(await send(address), { status: 200, body: 'by address' });
    assert.equal((await send(address, { method: 'DELETE' })).status, 403);
    assert.equal((await send(address.replace('presigned', 'range'))).status, 403);
    assert.equal(
      (await send(sign('GET', '/s3/uploads/presigned', 1, new Date(Date.now() - 60_000)))).status,
      403,
    );
    assert.equal((await send(sign('GET', '/s3/uploads/presigned', 700_000))).status, 403);
  });
});

function clientOf(
  t: TestContext,
  { url, credentials }: Pick<Platform, 'url' | 'credentials'>,
  key: { accessKeyId: string; secretAccessKey: string; sessionToken?: string } = {
    accessKeyId: credentials.accessKeyId,
    secretAccessKey: credentials.accessKeySecret,
  },
  systemClockOffset = 0,
): S3Client {
  const client = new S3Client({
    endpoint: `${url}/s3`,
    region: 'local',
    credentials: key,
    forcePathStyle: true,
    systemClockOffset,
  });
  afterTest(t, () => client.destroy());
  return client;
}

async function rejects(answer: Promise<unknown>, name: string | undefined, status: number): Promise<void> {
  await assert.rejects(answer, (error) => {
    assert.ok(error instanceof S3ServiceException, String(error));
    if (name !== undefined) assert.equal(error.name, name, error.message);
    assert.equal(error.$metadata.httpStatusCode, status);
    return true;
  });
}

function send(
  url: string,
  { method = 'GET', body = '' } = {},
): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
    });
    request.on('error', reject);
    request.end(body);
  });
}
