import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { createFunction, openTemporaryCatalog, type TemporaryCatalog } from '../catalog/temporary-catalog.ts';
import type { TimerTrigger } from '../model/trigger.ts';
import type { EventInvocation } from './event-invocations.ts';
import { TriggerEngine } from './trigger-engine.ts';
import { DELIVERIES_KEPT_MAX } from './trigger-log.ts';
import { TRIGGER_LOGS, TRIGGER_STATES } from './trigger-records.ts';
import type { TriggerTarget } from './trigger-source.ts';

const INPUT = {
  triggerName: 'tick',
  triggerType: 'timer',
  triggerConfig: '{"cronExpression":"@every 1h"}',
  qualifier: 'LATEST',
  description: '',
  invocationRole: '',
  sourceArn: '',
};

interface Rig {
  readonly engine: TriggerEngine;
  /** What is attached now, by trigger name. */
  readonly attached: Map<string, { trigger: TimerTrigger; target: TriggerTarget }>;
  readonly submitted: EventInvocation[];
  /** Thrown by the next submissions. */
  refusal: ThawError | undefined;
}

/** An engine over a source that does nothing by itself: tests deliver through the targets it was given. */
function openEngine(t: TestContext, { catalog, records, clock, listeners }: TemporaryCatalog): Rig {
  const attached: Rig['attached'] = new Map();
  const submitted: EventInvocation[] = [];
  const rig: Rig = {
    attached,
    submitted,
    refusal: undefined,
    engine: new TriggerEngine({
      records,
      clock,
      log: () => undefined,
      find: (functionName, qualifier) => catalog.routes.find(functionName, qualifier, 0),
      sources: [
        {
          triggerType: 'timer',
          attach: (trigger: TimerTrigger, target) => {
            assert(!attached.has(trigger.triggerName), 'attached once at a time');
            attached.set(trigger.triggerName, { trigger, target });
            return {
              detach: () => {
                attached.delete(trigger.triggerName);
                return Promise.resolve();
              },
            };
          },
          paused: (_trigger, state) => state.set(undefined),
          sampleEvent: (trigger) => Buffer.from(`sample of ${trigger.triggerName}`),
        },
      ],
      invocations: {
        submit: (event) => {
          if (rig.refusal !== undefined) return Promise.reject(rig.refusal);
          submitted.push(event);
          return Promise.resolve({ taskId: event.taskId ?? 'given' });
        },
        invokeEvent: (event) => Promise.resolve({ requestId: 'r', body: event.body }),
      },
    }),
  };
  listeners.push((functionName) => rig.engine.refresh(functionName));
  rig.engine.open();
  t.after(() => rig.engine.close());
  return rig;
}

test('a trigger is attached while it is there, not paused, and has what it invokes', async (t) => {
  const temporary = await openTemporaryCatalog();
  t.after(() => temporary[Symbol.asyncDispose]());
  const { catalog } = temporary;
  await createFunction(catalog, 'f');
  const { engine, attached } = openEngine(t, temporary);
  const isAttached = (): Promise<unknown> => waitFor('it is attached', () => attached.has('tick'));
  const isDetached = (): Promise<unknown> => waitFor('it is detached', () => !attached.has('tick'));
  const status = (): unknown => engine.statusOf(catalog.triggers.require('f', 'tick')).status;

  catalog.triggers.create('f', INPUT);
  await isAttached();
  assert.equal(status(), 'active');
  attached.get('tick')?.target.state.set({ at: 1 });

  catalog.triggers.update('f', 'tick', { triggerConfig: '{"cronExpression":"@every 2h"}' });
  await waitFor(
    'it is attached as it is now',
    () => attached.get('tick')?.trigger.config.cronExpression === '@every 2h',
  );
  assert.deepEqual(attached.get('tick')?.target.state.get(), { at: 1 }, 'what it knew it knows');

  catalog.triggers.setPaused('f', 'tick', true);
  await isDetached();
  assert.equal(status(), 'paused');
  catalog.triggers.setPaused('f', 'tick', false);
  await isAttached();
  assert.equal(attached.get('tick')?.target.state.get(), undefined, 'its source was told of the pause');

  catalog.functions.disable('f', 'maintenance');
  await isDetached();
  assert.equal(status(), 'waiting');
  catalog.functions.enable('f');
  await isAttached();
  assert.equal(status(), 'active');

  const { triggerId } = catalog.triggers.require('f', 'tick');
  attached.get('tick')?.target.state.set({ at: 2 });
  catalog.triggers.delete('f', 'tick');
  await isDetached();
  await waitFor('its state is gone', () => TRIGGER_STATES.get(temporary.records, triggerId) === undefined);
});

test('deliveries and failures are kept, bounded, and survive the engine', async (t) => {
  const temporary = await openTemporaryCatalog();
  t.after(() => temporary[Symbol.asyncDispose]());
  const { catalog, records } = temporary;
  await createFunction(catalog, 'f');
  const trigger = catalog.triggers.create('f', INPUT);
  const rig = openEngine(t, temporary);
  await waitFor('it is attached', () => rig.attached.has('tick'));
  const target = rig.attached.get('tick')?.target;
  assert(target !== undefined);
  rig.refusal = new ThawError('QUEUE_FULL', 'no room');
  await assert.rejects(target.submit(Buffer.from('x')), { code: 'QUEUE_FULL' });
  rig.refusal = undefined;
  for (let index = 0; index < DELIVERIES_KEPT_MAX + 5; index += 1) {
    await target.submit(Buffer.from('12345'), { taskId: `t${index}` });
  }
  const status = rig.engine.statusOf(trigger);
  assert.deepEqual([status.delivered, status.failed], [DELIVERIES_KEPT_MAX + 5, 1]);
  assert.equal(status.deliveries.length, DELIVERIES_KEPT_MAX);
  const { ms: _ms, ...newest } = status.deliveries[0] ?? assert.fail('a delivery');
  assert.deepEqual(newest, {
    at: temporary.clock.now(),
    eventBytes: 5,
    outcome: 'accepted',
    taskId: `t${DELIVERIES_KEPT_MAX + 4}`,
  });
  assert.deepEqual(
    status.failures.map(({ errorCode, errorMessage }) => [errorCode, errorMessage]),
    [['QUEUE_FULL', 'no room']],
  );
  await rig.engine.close();
  assert.equal(TRIGGER_LOGS.get(records, trigger.triggerId)?.value.delivered, DELIVERIES_KEPT_MAX + 5);
  const next = openEngine(t, temporary);
  await waitFor('it is attached again', () => next.attached.has('tick'));
  assert.deepEqual(next.engine.statusOf(trigger), status);
});

test('a source that reports a problem is failing until it reports none; a test run leaves no trace', async (t) => {
  const temporary = await openTemporaryCatalog();
  t.after(() => temporary[Symbol.asyncDispose]());
  const { catalog } = temporary;
  await createFunction(catalog, 'f');
  const trigger = catalog.triggers.create('f', INPUT);
  assert(trigger.triggerType === 'timer');
  const { engine, attached } = openEngine(t, temporary);
  await waitFor('it is attached', () => attached.has('tick'));
  const target = attached.get('tick')?.target;
  target?.report(new ThawError('STORE_FAILED', 'the source is gone', { cause: new Error('no route') }));
  assert.deepEqual(engine.statusOf(trigger).problem, {
    code: 'STORE_FAILED',
    message: 'the source is gone: no route',
    since: temporary.clock.now(),
  });
  assert.equal(engine.statusOf(trigger).status, 'failing');
  target?.report(undefined);
  assert.equal(engine.statusOf(trigger).status, 'active');
  const tried = await engine.test(trigger, engine.sampleEvent(trigger));
  assert.equal(tried.body.toString(), 'sample of tick');
  assert.equal(engine.statusOf(trigger).delivered, 0);
});

test('an accepted event whose invocation fails for good becomes a failure of its trigger', async (t) => {
  const temporary = await openTemporaryCatalog();
  t.after(() => temporary[Symbol.asyncDispose]());
  const { catalog } = temporary;
  await createFunction(catalog, 'f');
  const triggers = ['tick', 'tock'].map((triggerName) =>
    catalog.triggers.create('f', { ...INPUT, triggerName }),
  );
  const { engine, attached } = openEngine(t, temporary);
  await waitFor('both are attached', () => attached.size === 2);
  for (const { triggerName, triggerId } of triggers) {
    await attached.get(triggerName)?.target.submit(Buffer.from('12345'), { taskId: `timer-${triggerId}-1` });
  }
  const [tick, tock] = triggers;
  assert.ok(tick !== undefined && tock !== undefined);
  const taskId = `timer-${tock.triggerId}-1`;
  const error = { code: 'HANDLER_THREW', message: 'no' };
  engine.noteFailure({ functionName: 'f', trigger: 'timer', taskId }, error);
  engine.noteFailure({ functionName: 'f', trigger: 'timer', taskId: 'of-neither' }, error);
  engine.noteFailure({ functionName: 'f', trigger: 'queue', taskId }, error);
  const told = triggers.map((trigger) => engine.statusOf(trigger));
  assert.deepEqual(
    told.map(({ delivered, failed, deliveries }) => [delivered, failed, deliveries[0]?.outcome]),
    [
      [1, 0, 'accepted'],
      [0, 1, 'failed'],
    ],
  );
  const { ms: _ms, ...failure } = told[1]?.failures[0] ?? assert.fail('a failure');
  const at = temporary.clock.now();
  const { code: errorCode, message: errorMessage } = error;
  assert.deepEqual(failure, { at, eventBytes: 5, outcome: 'failed', taskId, errorCode, errorMessage });
  catalog.triggers.delete('f', 'tock');
  await waitFor('one is left', () => attached.size === 1);
  engine.noteFailure({ functionName: 'f', trigger: 'timer', taskId: 'of-the-only-one' }, error);
  assert.equal(engine.statusOf(tick).failed, 1);
});
