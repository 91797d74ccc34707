import { writeSync } from 'node:fs';
import { Readable } from 'node:stream';
import { systemClock } from '../../../base/clock.ts';
import { causeOf, CRASH_BUCKET, CRASH_WATCH } from '../../objects-contract.ts';
import { SqliteObjects } from './sqlite-objects.ts';

/** The child process of the crash test: `<directory> <seed>`. Each line on stdout is the key of an object that was put. */
const BYTES = 200_000;
const [directory = '', seed = ''] = process.argv.slice(2);
const objects = new SqliteObjects(directory, systemClock);
if (objects.findBucket(CRASH_BUCKET) === undefined) {
  objects.createBucket(CRASH_BUCKET);
  const watch = { watchId: CRASH_WATCH, bucket: CRASH_BUCKET, prefix: '', suffix: '' };
  objects.watches.set({ ...watch, events: ['ObjectCreated:*'] });
}
for (let n = 0; ; n += 1) {
  const key = `${seed}/${n}`;
  const staged = await objects.stage(Readable.from([Buffer.alloc(BYTES, key)]), BYTES);
  await objects.put({ bucket: CRASH_BUCKET, key, cause: causeOf('PutObject') }, staged, {
    headers: {},
    userMetadata: {},
  });
  writeSync(1, `${key}\n`);
}
