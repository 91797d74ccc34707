import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { InstanceState } from '../instance/instance-state.ts';
import type { PooledInstance, PooledInstanceEvents } from './pooled-instance.ts';

/** How the suite moves an instance: a real one moves by itself, a simulated one is pushed. */
export interface InstanceHarness<I extends PooledInstance> extends AsyncDisposable {
  /** One whose start succeeds, or one whose start fails. */
  create(kind: 'good' | 'broken', events: PooledInstanceEvents<I>): I;
  /** Settles when its start has succeeded or failed. */
  started(instance: I): Promise<void>;
  /** Hands a request over; gives what ends it, which settles when it has ended. */
  serve(instance: I): () => Promise<void>;
  /** Lets it end that was told to. */
  letEnd(instance: I): void;
}

/** What happened to one instance, in order. */
interface Story {
  readonly states: string[];
  readonly failures: ThawError[];
}

/** The contract at the head of `PooledInstance`, point by point. */
export function testPooledInstance<I extends PooledInstance>(
  name: string,
  open: () => Promise<InstanceHarness<I>>,
): void {
  const create = (harness: InstanceHarness<I>, kind: 'good' | 'broken'): { instance: I; story: Story } => {
    const story: Story = { states: [], failures: [] };
    let known: InstanceState = { name: 'starting' };
    const instance = harness.create(kind, {
      onChange: (changed, from) => {
        assert.deepEqual(from, known, 'each change is told with the state before it');
        known = changed.state;
        story.states.push(changed.state.name);
      },
      onStartFailed: (failed, error) => {
        assert.ok(failed.state.name === 'starting' || failed.state.name === 'initializing');
        story.failures.push(error);
      },
    });
    assert.equal(instance.state.name, 'starting');
    return { instance, story };
  };

  test(`${name} 1, 2: a start that succeeds ends idle, and each change is told`, async () => {
    await using harness = await open();
    const { instance, story } = create(harness, 'good');
    assert.equal(instance.hasFreeSlot(), false);
    void instance.start();
    await harness.started(instance);
    assert.equal(instance.hasFreeSlot(), true);
    assert.deepEqual(story, { states: ['idle'], failures: [] });
    instance.kill();
    harness.letEnd(instance);
    await instance.stopped;
    assert.deepEqual(story.states, ['idle', 'draining', 'stopped']);
  });

  test(`${name} 1: a start that fails is told once, before the instance drains`, async () => {
    await using harness = await open();
    const { instance, story } = create(harness, 'broken');
    void instance.start();
    await harness.started(instance);
    harness.letEnd(instance);
    await instance.stopped;
    assert.equal(story.failures.length, 1);
    assert.deepEqual(story.states, ['draining', 'stopped']);
    assert.equal(instance.hasFreeSlot(), false);
  });

  test(`${name} 3: a request takes its slot before the call returns, and gives it back`, async () => {
    await using harness = await open();
    const { instance, story } = create(harness, 'good');
    void instance.start();
    await harness.started(instance);
    const end = harness.serve(instance);
    assert.equal(instance.state.name, 'busy');
    assert.equal(instance.inFlight, 1);
    assert.equal(instance.hasFreeSlot(), false);
    await end();
    assert.deepEqual(story.states, ['idle', 'busy', 'idle']);
    assert.equal(instance.hasFreeSlot(), true);
    instance.kill();
    harness.letEnd(instance);
    await instance.stopped;
  });

  test(`${name} 4: draining lets run what runs and nothing more; both ways to end may come again`, async () => {
    await using harness = await open();
    const { instance, story } = create(harness, 'good');
    void instance.start();
    await harness.started(instance);
    const end = harness.serve(instance);
    instance.drain();
    instance.drain();
    assert.deepEqual(instance.state, { name: 'draining', inFlight: 1 });
    assert.equal(instance.hasFreeSlot(), false);
    await end();
    harness.letEnd(instance);
    await instance.stopped;
    assert.deepEqual(story.states, ['idle', 'busy', 'draining', 'draining', 'stopped']);
    instance.drain();
    instance.kill();
    assert.equal(instance.state.name, 'stopped');
  });

  test(`${name} 4: one that is killed while it starts stops`, async () => {
    await using harness = await open();
    const { instance, story } = create(harness, 'good');
    void instance.start();
    instance.kill();
    harness.letEnd(instance);
    await instance.stopped;
    assert.deepEqual(story.states, ['draining', 'stopped']);
  });
}
