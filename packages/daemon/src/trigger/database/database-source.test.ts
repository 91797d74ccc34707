import assert from 'node:assert/strict';
import { test } from 'node:test';
import { databaseTriggerConfig } from '@thaw/protocol/fc/triggers/database.ts';
import type { DatabaseTrigger } from '../../model/trigger.ts';
import { WatchedDirectories } from '../oss/watched-directories.ts';
import { DatabaseSource } from './database-source.ts';

const source = new DatabaseSource(new WatchedDirectories(['/srv/shop']));

function trigger(config: Readonly<Record<string, unknown>>): DatabaseTrigger {
  return {
    triggerId: '5f3c9d1e-0000-4000-8000-000000000001',
    functionName: 'f',
    triggerName: 'changes',
    triggerType: 'database',
    qualifier: 'LATEST',
    description: '',
    sourceArn: '',
    invocationRole: '',
    triggerConfigText: '',
    createdTime: '',
    lastModifiedTime: '',
    isPaused: false,
    config: databaseTriggerConfig.parse({ tables: ['orders'], ...config }),
  };
}

test('a sample is what the trigger would send', () => {
  const told = (config: Readonly<Record<string, unknown>>): unknown =>
    JSON.parse(source.sampleEvent(trigger(config)).toString());
  assert.deepEqual(told({ url: 'postgres://u:secret@host/shop', operations: ['update'], tables: ['a.b'] }), {
    source: { type: 'postgresql', database: 'shop' },
    triggerName: 'changes',
    changes: [
      {
        id: '0/16B3748-1',
        schema: 'a',
        table: 'b',
        operation: 'update',
        key: { id: 1 },
        before: { id: 1, name: 'sample' },
        after: { id: 1, name: 'sample' },
        committedAt: '2026-01-01T00:00:00.000Z',
        transactionId: '731',
        position: '0/16B3748',
      },
    ],
  });
  assert.match(
    JSON.stringify(told({ url: 'sqlite:/srv/shop/shop.db' })),
    /"type":"sqlite".*"schema":"main"/u,
  );
});

test('what can be judged without the database is judged when the trigger is made', () => {
  source.check(trigger({ url: 'postgres://u@host/shop' }));
  source.check(trigger({ url: 'sqlite:/srv/shop/shop.db' }));
  for (const wrong of [
    { url: 'postgres://u@host' },
    { url: 'postgres://u@host:port/shop' },
    { url: 'sqlite:shop.db' },
    { url: 'sqlite:/etc/shop.db' },
    { url: 'postgres://u@host/shop', tables: ['a.b.c'] },
  ]) {
    assert.throws(() => source.check(trigger(wrong)), { code: 'INVALID_ARGUMENT' }, JSON.stringify(wrong));
  }
  assert.throws(() => trigger({ url: 'mysql://host/shop' }), /postgres/u);
});
