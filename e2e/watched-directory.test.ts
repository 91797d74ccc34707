import assert from 'node:assert/strict';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { CreateBucketCommand, ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3';
import { startPlatform, temporaryDirectory } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { createFunction } from './support/functions.ts';
import { createOssTrigger, s3Client, textOf } from './support/object-store.ts';

const FUNCTION = await readFile(join(import.meta.dirname, 'fixtures/s3-function.cjs'), 'utf8');
/** A function starts within this, also where the machine has much else to do. */
const DELIVERY_MS_MAX = 60_000;

test('a watched directory calls the function, also for what came while nothing ran', async (t) => {
  const directory = await temporaryDirectory(t);
  const incoming = join(directory, 'incoming');
  await mkdir(incoming);
  const dataDir = await temporaryDirectory(t, 'thaw data ');
  const options = { dataDir, arguments: ['--watch-dir', directory] };
  const first = await startPlatform(t, options);
  const s3 = s3Client(t, first);
  await s3.send(new CreateBucketCommand({ Bucket: 'seen' }));
  await createFunction(first, 'watcher', {
    code: FUNCTION,
    fields: { environmentVariables: { THAW_BUCKETS: 'seen' } },
  });
  const events = ['oss:ObjectCreated:*', 'oss:ObjectRemoved:*'];
  await assert.rejects(
    createOssTrigger(first, 'watcher', { events, path: '/etc' }),
    /may not watch '\/etc'/u,
  );
  await createOssTrigger(first, 'watcher', { events, path: incoming });
  await waitFor(
    'the trigger to run',
    async () => {
      await writeFile(join(incoming, `${Date.now()}.tmp`), 'is anybody there');
      const { KeyCount } = await s3.send(new ListObjectsV2Command({ Bucket: 'seen' }));
      return (KeyCount ?? 0) > 0;
    },
    DELIVERY_MS_MAX,
  );
  await writeFile(join(incoming, 'early.txt'), 'x');
  const seen = (client: S3Client, key: string): Promise<string> =>
    waitFor(`${key} to be seen`, () => textOf(client, 'seen', key), DELIVERY_MS_MAX);
  assert.equal(await seen(s3, 'ObjectCreated/early.txt'), join(incoming, 'early.txt'));
  await first.stop();
  await writeFile(join(directory, 'prepared'), 'x');
  await rename(join(directory, 'prepared'), join(incoming, 'late.txt'));
  await rm(join(incoming, 'early.txt'));
  const again = s3Client(t, await startPlatform(t, options));
  assert.equal(await seen(again, 'ObjectCreated/late.txt'), join(incoming, 'late.txt'));
  assert.equal(await seen(again, 'ObjectRemoved/early.txt'), join(incoming, 'early.txt'));
});
