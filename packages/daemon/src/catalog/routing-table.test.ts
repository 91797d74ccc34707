import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HttpTrigger } from '../model/trigger.ts';
import { RoutingTable } from './routing-table.ts';

function trigger(functionName: string, triggerName: string, qualifier: string): HttpTrigger {
  return {
    triggerId: triggerName,
    functionName,
    triggerName,
    triggerType: 'http',
    qualifier,
    description: '',
    sourceArn: '',
    invocationRole: '',
    triggerConfigText: '{}',
    http: { authType: 'anonymous', methods: ['GET'], disableURLInternet: false },
    createdTime: '2026-11-20T12:00:00Z',
    lastModifiedTime: '2026-11-20T12:00:00Z',
  };
}

test('a host name finds the trigger of LATEST, else the only one, whatever its case', () => {
  const table = new RoutingTable();
  table.setFunction('App', false);
  assert.equal(table.httpTriggerOfHost('app'), undefined);
  table.setTrigger(trigger('App', 'stable', 'prod'));
  assert.equal(table.httpTriggerOfHost('app')?.triggerName, 'stable');
  table.setTrigger(trigger('App', 'beta', 'beta'));
  assert.equal(table.httpTriggerOfHost('app'), undefined, 'neither is meant more than the other');
  table.setTrigger(trigger('App', 'web', 'LATEST'));
  assert.equal(table.httpTriggerOfHost('APP')?.triggerName, 'web');
  assert.equal(table.httpTriggerOf('App', 'prod')?.triggerName, 'stable');

  table.setFunction('app', false);
  table.setTrigger(trigger('app', 'exact', 'LATEST'));
  assert.equal(table.httpTriggerOfHost('app')?.triggerName, 'exact');
  assert.equal(table.httpTriggerOfHost('App')?.triggerName, 'web');
  table.removeFunction('App');
  assert.equal(table.httpTriggerOfHost('aPP')?.triggerName, 'exact');
  table.removeFunction('app');
  assert.equal(table.httpTriggerOfHost('app'), undefined);
  assert.deepEqual(table.functionNames(), []);
});

test('a version whose code is not there yet says so, and one that runs goes on until its successor can', () => {
  const table = new RoutingTable();
  table.setFunction('f', false);
  table.announceVersion('f', 'LATEST');
  assert.equal(table.find('f', undefined, 0), 'STORE_FAILED');
  assert.throws(() => table.resolve('f', undefined, 0), { code: 'STORE_FAILED' });
  table.setVersion('f', '1', 'VERSION_NOT_FOUND');
  table.announceVersion('f', '1');
  assert.equal(table.find('f', '1', 0), 'VERSION_NOT_FOUND');
});
