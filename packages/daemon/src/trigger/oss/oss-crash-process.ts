import { appendFileSync, existsSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { systemClock } from '../../base/clock.ts';
import type { OssTrigger } from '../../model/trigger.ts';
import { SqliteKnownFiles } from '../../store/sqlite/sqlite-known-files.ts';
import { SqliteObjects } from '../../store/sqlite/objects/sqlite-objects.ts';
import { KeptTarget } from './kept-target.ts';
import { OssSource } from './oss-source.ts';
import { WatchedDirectories } from './watched-directories.ts';

/**
 * The child process of the crash test: `<directory> <run>`. Puts objects until it is killed, each line on stdout one that
 * was acknowledged, while a trigger hands the changes over: `delivered` has a line for each, its task id and key.
 */
const [directory = '', run = ''] = process.argv.slice(2);
const objects = new SqliteObjects(join(directory, 'objects'), systemClock);
const delivered = join(directory, 'delivered');
const statePath = join(directory, 'state');

class WrittenTarget extends KeptTarget {
  override async submit(
    event: Buffer,
    options: { readonly taskId?: string } = {},
  ): Promise<{ taskId: string }> {
    const { events }: { events: { oss: { object: { key: string } } }[] } = JSON.parse(event.toString());
    const taskId = options.taskId ?? '';
    appendFileSync(delivered, `${taskId} ${events[0]?.oss.object.key}\n`);
    await new Promise((resolve) => setImmediate(resolve));
    return { taskId };
  }
}

if (objects.findBucket('uploads') === undefined) objects.createBucket('uploads');
const trigger: OssTrigger = {
  triggerId: 'crash-trigger',
  triggerType: 'oss',
  functionName: 'f',
  triggerName: 't',
  qualifier: 'LATEST',
  description: '',
  sourceArn: 'acs:oss:local:1:uploads',
  invocationRole: '',
  triggerConfigText: '',
  createdTime: '',
  lastModifiedTime: '',
  config: { events: ['oss:ObjectCreated:*'], filter: {} },
  isPaused: false,
};
const source = new OssSource({
  objects,
  files: new SqliteKnownFiles(directory),
  directories: new WatchedDirectories([]),
  clock: systemClock,
  place: { region: 'local', accountId: '1' },
});
source.attach(
  trigger,
  new WrittenTarget({
    get: () => (existsSync(statePath) ? JSON.parse(readFileSync(statePath, 'utf8')) : undefined),
    set: (value) => writeFileSync(statePath, JSON.stringify(value)),
  }),
);
const isDraining = run === 'drain';
for (let n = 0; n < (isDraining ? 0 : Infinity); n += 1) {
  const key = `${run}/${n}`;
  const staged = await objects.stage(Readable.from([Buffer.from(key)]), 1000);
  const cause = { operation: 'PutObject', requestId: '', sourceIp: '127.0.0.1', principalId: '' } as const;
  await objects.put({ bucket: 'uploads', key, cause }, staged, { headers: {}, userMetadata: {} });
  writeSync(1, `${key}\n`);
}
// Says how many changes wait each time that some were taken, until none does.
for (let left = -1; left !== 0;) {
  await new Promise((resolve) => setImmediate(resolve));
  left = objects.watches.changes(trigger.triggerId, 1).length;
}
writeSync(1, 'drained\n');
setInterval(() => undefined, 60_000);
