import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, realpath, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { afterTest } from '@thaw/testkit/after-test.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { systemClock } from '../../base/clock.ts';
import type { OssTrigger } from '../../model/trigger.ts';
import { killAfterAcknowledgements } from '../../store/crash-process.ts';
import type { ObjectCause } from '../../store/objects.ts';
import { SqliteObjects } from '../../store/sqlite/objects/sqlite-objects.ts';
import { SqliteKnownFiles } from '../../store/sqlite/sqlite-known-files.ts';
import type { AttachedTrigger } from '../trigger-source.ts';
import { KeptTarget } from './kept-target.ts';
import { OssSource } from './oss-source.ts';
import { WatchedDirectories } from './watched-directories.ts';

const CRASHES = 4;
const PUTS_MAX = 40;
const crashProcess = fileURLToPath(new URL('oss-crash-process.ts', import.meta.url));

interface Place {
  readonly directory: string;
  readonly watched: string;
  readonly objects: SqliteObjects;
  readonly source: OssSource;
  readonly target: KeptTarget;
  readonly attach: (trigger: OssTrigger) => AttachedTrigger;
}

async function makePlace(t: TestContext): Promise<Place> {
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'thaw-oss-')));
  afterTest(t, () => rm(directory, { recursive: true }));
  const watched = join(directory, 'incoming');
  await mkdir(watched);
  const objects = new SqliteObjects(join(directory, 'objects'), systemClock);
  afterTest(t, () => objects.close());
  const files = new SqliteKnownFiles(directory);
  afterTest(t, () => files.close());
  const source = new OssSource({
    objects,
    files,
    directories: new WatchedDirectories([watched]),
    clock: systemClock,
    place: { region: 'local', accountId: '1000' },
  });
  const target = new KeptTarget();
  const attach = (trigger: OssTrigger): AttachedTrigger => {
    source.check(trigger);
    const attached = source.attach(trigger, target);
    afterTest(t, () => attached.detach());
    return attached;
  };
  return { directory, watched, objects, source, target, attach };
}

function triggerOn(sourceArn: string, config: Partial<OssTrigger['config']>): OssTrigger {
  return {
    triggerId: 'trigger-1',
    triggerType: 'oss',
    functionName: 'f',
    triggerName: 't',
    qualifier: 'LATEST',
    description: '',
    sourceArn,
    invocationRole: '',
    triggerConfigText: '',
    createdTime: '',
    lastModifiedTime: '',
    config: { events: ['oss:ObjectCreated:*', 'oss:ObjectRemoved:*'], filter: {}, ...config },
    isPaused: false,
  };
}

async function put(objects: SqliteObjects, key: string, text: string): Promise<void> {
  const staged = await objects.stage(Readable.from([Buffer.from(text)]), 1000);
  const attributes = { headers: { 'content-type': 'text/plain' }, userMetadata: {} };
  await objects.put({ bucket: 'uploads', key, cause: causeOf('PutObject') }, staged, attributes);
}

function causeOf(operation: ObjectCause['operation']): ObjectCause {
  return { operation, requestId: '1-2-3', sourceIp: '10.0.0.7', principalId: 'owner' };
}

interface Told {
  readonly events: readonly {
    readonly eventName: string;
    readonly oss: { readonly object: { readonly key: string; readonly deltaSize: number } };
  }[];
}

function toldOf(target: KeptTarget): string[] {
  return [...target.events.values()].map((event) => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const [only] = (event as Told).events;
    return `${only?.eventName} ${only?.oss.object.key} ${only?.oss.object.deltaSize}`;
  });
}

test('objects that match become events in the published shape', async (t) => {
  const { objects, target, attach, source } = await makePlace(t);
  objects.createBucket('uploads');
  const trigger = triggerOn('acs:oss:cn-hangzhou:1000:uploads', {
    filter: { key: { prefix: 'image/', suffix: '.jpg' } },
  });
  const attached = attach(trigger);
  await put(objects, 'image/a.jpg', 'hello');
  await put(objects, 'image/a.png', 'hello');
  await objects.delete('uploads', ['image/a.jpg', 'image/never.jpg'], causeOf('DeleteObjects'));
  await waitFor('two events', () => target.events.size === 2);
  assert.deepEqual(toldOf(target), [
    'ObjectCreated:PutObject image/a.jpg 5',
    'ObjectRemoved:DeleteObjects image/a.jpg -5',
  ]);
  const [[taskId, first] = []] = target.events;
  assert.match(taskId ?? '', /^oss-[0-9a-f]{24}$/u);
  const { eventTime, ...event } = Reflect.get(Object(first), 'events')[0];
  assert.match(eventTime, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/u);
  assert.deepEqual(event, {
    eventName: 'ObjectCreated:PutObject',
    eventSource: 'acs:oss',
    eventVersion: '1.0',
    oss: {
      bucket: {
        arn: 'acs:oss:local:1000:uploads',
        name: 'uploads',
        ownerIdentity: '1000',
        virtualBucket: '',
      },
      object: {
        deltaSize: 5,
        eTag: '5D41402ABC4B2A76B9719D911017C592',
        key: 'image/a.jpg',
        objectMeta: { mimeType: 'text/plain' },
        size: 5,
      },
      ossSchemaVersion: '1.0',
      ruleId: 'trigger-1',
    },
    region: 'local',
    requestParameters: { sourceIPAddress: '10.0.0.7' },
    responseElements: { requestId: '1-2-3' },
    userIdentity: { principalId: 'owner' },
  });
  const sample = JSON.parse(source.sampleEvent(trigger).toString());
  assert.equal(sample.events[0].oss.object.key, 'image/sample.jpg');
  await attached.detach();
});

test('what happens while nobody is attached, or the function takes nothing, is delivered later', async (t) => {
  const { objects, target, attach, source } = await makePlace(t);
  const trigger = triggerOn('', { bucketName: 'uploads' });
  const attached = attach(trigger);
  await waitFor('the missing bucket to be told', () => target.problem?.code === 'BUCKET_NOT_FOUND');
  objects.createBucket('uploads');
  await waitFor('the problem to be over', () => target.problem === undefined);
  target.refusal = new ThawError('QUEUE_FULL', 'too many wait');
  await put(objects, 'one', '1');
  await waitFor('the refusal to be told', () => target.problem?.code === 'QUEUE_FULL');
  await attached.detach();
  await put(objects, 'two', '2');
  target.refusal = undefined;
  const again = attach(trigger);
  await waitFor('both events', () => target.events.size === 2);
  assert.deepEqual(toldOf(target), ['ObjectCreated:PutObject one 1', 'ObjectCreated:PutObject two 1']);
  await again.detach();
  await source.removed(target.state.get());
  assert.deepEqual(objects.watches.ids(), []);
});

test('an acknowledged put causes its event, whenever the platform is killed', async (t) => {
  const { directory } = await makePlace(t);
  const acknowledged: string[] = [];
  for (let crash = 0; crash < CRASHES; crash += 1) {
    const wanted = 1 + Math.floor(Math.random() * PUTS_MAX);
    acknowledged.push(...(await killAfterAcknowledgements([crashProcess, directory, `run${crash}`], wanted)));
  }
  assert.deepEqual(await killAfterAcknowledgements([crashProcess, directory, 'drain'], 1), ['drained']);
  const lines = (await readFile(join(directory, 'delivered'), 'utf8')).trimEnd().split('\n');
  const taskByKey = new Map<string, Set<string>>();
  for (const line of lines) {
    const [taskId = '', key = ''] = line.split(' ');
    taskByKey.set(key, (taskByKey.get(key) ?? new Set()).add(taskId));
  }
  for (const key of acknowledged) assert.equal(taskByKey.get(key)?.size, 1, `${key} has one task`);
  // What was put and not acknowledged before the kill may have its event too, but not twice.
  for (const [key, tasks] of taskByKey) assert.equal(tasks.size, 1, `${key} has one task`);
  assert.ok(taskByKey.size - acknowledged.length <= CRASHES);
  const after = new SqliteObjects(join(directory, 'objects'), systemClock);
  const { objects } = after.list('uploads', { prefix: '', delimiter: '', after: '', limit: 10_000 });
  assert.deepEqual(objects.map(({ key }) => key).toSorted(), [...taskByKey.keys()].toSorted());
  await after.close();
});

test('files of a watched directory are told of, also those of a time when nobody watched', async (t) => {
  const { watched, target, attach } = await makePlace(t);
  await writeFile(join(watched, 'before.txt'), 'there already');
  const trigger = triggerOn('', { path: watched, filter: { key: { prefix: '', suffix: '.txt' } } });
  const attached = attach(trigger);
  await waitFor('the state', () => target.state.get() !== undefined);
  await mkdir(join(watched, 'sub'));
  await writeFile(join(watched, 'sub', 'new.txt'), 'hello');
  await writeFile(join(watched, 'other.png'), 'hello');
  await waitFor('the new file', () => target.events.size === 1);
  await writeFile(join(watched, 'sub', 'new.txt'), 'hello again');
  await waitFor('its change', () => target.events.size === 2);
  await rm(join(watched, 'before.txt'));
  await waitFor('the removal', () => target.events.size === 3);
  await attached.detach();
  await writeFile(join(watched, 'meanwhile.tmp'), 'moved in');
  await utimes(join(watched, 'meanwhile.tmp'), new Date(1000), new Date(1000));
  await rename(join(watched, 'meanwhile.tmp'), join(watched, 'meanwhile.txt'));
  await rm(join(watched, 'sub'), { recursive: true });
  const again = attach(trigger);
  await waitFor('what happened meanwhile', () => target.events.size === 5);
  await again.detach();
  const told = toldOf(target);
  assert.deepEqual(told.slice(0, 3), [
    'ObjectCreated:PutObject sub/new.txt 5',
    'ObjectCreated:PutObject sub/new.txt 6',
    'ObjectRemoved:DeleteObject before.txt -13',
  ]);
  assert.deepEqual(told.slice(3).toSorted(), [
    'ObjectCreated:PutObject meanwhile.txt 8',
    'ObjectRemoved:DeleteObject sub/new.txt -11',
  ]);
});

test('only what the operator allows is watched', async (t) => {
  const { directory, watched, source } = await makePlace(t);
  await symlink(directory, join(watched, 'way-out'));
  const refused = (config: Partial<OssTrigger['config']>, arn = ''): void => {
    assert.throws(
      () => source.check(triggerOn(arn, config)),
      (error) => error instanceof ThawError && error.code === 'INVALID_ARGUMENT',
    );
  };
  source.check(triggerOn('', { path: join(watched, 'not-there-yet') }));
  refused({ path: '/etc' });
  refused({ path: `${watched}-beside` });
  refused({ path: join(watched, '..') });
  refused({ path: join(watched, 'way-out') });
  refused({ path: watched, bucketName: 'uploads' });
  refused({});
  refused({ bucketName: 'Not a name' });
  refused({ bucketName: 'uploads' }, 'acs:oss:local:1:other');
  refused({}, 'acs:mns:local:1:queue');
});
