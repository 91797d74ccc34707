import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Simulation } from '../scheduler/simulation.ts';
import { Provisioning } from './provisioning.ts';
import { createFunction, openTemporaryCatalog, type TemporaryCatalog } from './temporary-catalog.ts';

const PAGE = { limit: 100 };

function openProvisioning(temporary: TemporaryCatalog): {
  provisioning: Provisioning;
  simulation: Simulation;
  versions: () => string[];
} & Disposable {
  const simulation = new Simulation();
  const { catalog, records, clock } = temporary;
  const { scheduler } = simulation;
  const provisioning = new Provisioning({ records, routes: catalog.routes, scheduler, clock });
  provisioning.open();
  temporary.listeners.push((functionName) => provisioning.refresh(functionName));
  return {
    provisioning,
    simulation,
    versions: () => {
      simulation.settle();
      return simulation.live().map(({ runnable }) => runnable.versionId);
    },
    [Symbol.dispose]: () => {
      provisioning.close();
      simulation[Symbol.dispose]();
    },
  };
}

test('an alias is provisioned in the version that it leads to, which moves with it', async () => {
  await using temporary = await openTemporaryCatalog();
  const { catalog } = temporary;
  await createFunction(catalog, 'f');
  catalog.versions.publish('f', '');
  catalog.versions.publish('f', '');
  catalog.aliases.create('f', {
    aliasName: 'live',
    versionId: '1',
    description: '',
    additionalVersionWeight: { 2: 0.5 },
  });
  using open = openProvisioning(temporary);
  catalog.settings.putProvision('f', 'live', { target: 2 });
  assert.deepEqual(open.versions(), ['1', '1']);
  assert.deepEqual(open.provisioning.status('f', 'live'), { target: 2, current: 2, currentError: '' });
  catalog.aliases.update('f', 'live', { versionId: '2', additionalVersionWeight: {} });
  open.simulation.advance(300_000);
  assert.deepEqual(open.versions(), ['2', '2']);
  catalog.functions.disable('f', 'for a while');
  open.simulation.advance(300_000);
  assert.deepEqual(open.versions(), []);
  assert.match(open.provisioning.status('f', 'live').currentError, /leads to no version that can run/);
  catalog.functions.enable('f');
  assert.deepEqual(open.versions(), ['2', '2']);
  catalog.functions.delete('f');
  open.simulation.advance(300_000);
  assert.deepEqual(open.versions(), []);
  assert.deepEqual([...open.provisioning.statuses()], []);
  assert.deepEqual(catalog.settings.listProvisions(undefined, PAGE).items, []);
});

test('what is stored is in force again after a restart, as the time then says', async () => {
  const temporary = await openTemporaryCatalog();
  await createFunction(temporary.catalog, 'f');
  temporary.catalog.settings.putConcurrency('f', { reservedConcurrency: 3 });
  temporary.catalog.settings.putProvision('f', undefined, {
    defaultTarget: 1,
    scheduledActions: [{ name: 'more', target: 4, scheduleExpression: 'at(2026-11-20T13:00:00)' }],
  });
  await using again = await temporary.reopen();
  using open = openProvisioning(again);
  assert.equal(open.versions().length, 1);
  again.clock.advance(3_600_000);
  open.provisioning.refresh('f');
  // The schedule wants four, the reserved concurrency allows three.
  assert.equal(open.versions().length, 3);
  const { target, current, currentError } = open.provisioning.status('f', 'LATEST');
  assert.deepEqual([target, current], [4, 3]);
  assert.match(currentError, /no room/);
  again.catalog.settings.deleteConcurrency('f');
  assert.equal(open.versions().length, 4);
});

test('the idle timeout of a function changes without a new revision', async () => {
  await using temporary = await openTemporaryCatalog();
  const { functions, routes } = temporary.catalog;
  await createFunction(temporary.catalog, 'f');
  using open = openProvisioning(temporary);
  const runnable = routes.resolve('f', undefined, 0);
  const request = open.simulation.request(runnable);
  open.simulation.settle();
  request.instance?.release();
  await functions.update('f', { idleTimeout: 2 }, undefined);
  assert.equal(routes.resolve('f', undefined, 0).key, runnable.key);
  open.simulation.advance(3_000);
  assert.deepEqual(open.versions(), []);
});

test('session affinity is checked when it is set, and makes a new revision', async () => {
  await using temporary = await openTemporaryCatalog();
  const { functions, routes } = temporary.catalog;
  const f = await createFunction(temporary.catalog, 'f', { sessionAffinity: 'NONE' });
  const before = routes.resolve('f', undefined, 0);
  assert.equal(before.sessionAffinity, undefined);
  const update = (sessionAffinity: string, sessionAffinityConfig = '') =>
    functions.update('f', { sessionAffinity, sessionAffinityConfig }, undefined);
  const wrong: readonly (readonly [string, string, RegExp])[] = [
    ['MCP_SSE', '', /^sessionAffinity must be NONE, HEADER_FIELD or GENERATED_COOKIE/],
    ['HEADER_FIELD', '{', /^sessionAffinityConfig must be an object written as JSON/],
    [
      'HEADER_FIELD',
      '{"affinityHeaderFieldName":"x-fc-me"}',
      /^sessionAffinityConfig\.affinityHeaderFieldName must be/,
    ],
    ['GENERATED_COOKIE', '{"sessionTTLInSeconds":0}', /^sessionAffinityConfig\.sessionTTLInSeconds must be/],
  ];
  for (const [kind, config, message] of wrong) {
    await assert.rejects(update(kind, config), { code: 'INVALID_ARGUMENT', message });
  }
  await update('HEADER_FIELD', '{"affinityHeaderFieldName":"My-Session","sessionTTLInSeconds":60}');
  const { sessionAffinity, key } = routes.resolve('f', undefined, 0);
  assert.deepEqual(sessionAffinity, {
    kind: 'header',
    name: 'my-session',
    sessionsPerInstance: 20,
    ttlMs: 60_000,
    idleMs: 1_800_000,
  });
  assert.notEqual(key, before.key);
  assert.equal(f.latest.config.passthrough['sessionAffinity'], 'NONE');
});
