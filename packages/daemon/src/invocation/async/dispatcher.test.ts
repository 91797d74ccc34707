import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { ManualClock } from '../../base/clock.ts';
import { DeadlineWheel } from '../../base/deadline-wheel.ts';
import type { LeasedTask } from '../../store/queue.ts';
import { SqliteQueue } from '../../store/sqlite/sqlite-queue.ts';
import { Dispatcher, type DispatcherDeps, type RunEvents } from './dispatcher.ts';

interface Begun {
  readonly leased: LeasedTask;
  readonly events: RunEvents;
  isStopped: boolean;
}

/** A dispatcher over a real queue, whose runs begin and end as the test says. */
class Bench {
  readonly clock = new ManualClock(1_000_000);
  readonly wheel = new DeadlineWheel(this.clock);
  readonly begun: Begun[] = [];
  readonly queue: SqliteQueue;
  readonly dispatcher: Dispatcher;
  onBegin: (begun: Begun) => void = () => undefined;

  private constructor(queue: SqliteQueue, fields: Partial<DispatcherDeps>) {
    this.queue = queue;
    this.dispatcher = new Dispatcher({
      clock: this.clock,
      wheel: this.wheel,
      queue,
      run: (leased, events) => {
        const begun = { leased, events, isStopped: false };
        this.begun.push(begun);
        this.onBegin(begun);
        return {
          stop: () => {
            begun.isStopped = true;
          },
        };
      },
      slotsPerInstance: () => 1,
      idleShare: () => 0,
      onStoreFailed: (error) => assert.fail(error),
      ...fields,
    });
  }

  static async open(t: TestContext, fields: Partial<DispatcherDeps> = {}): Promise<Bench> {
    const directory = mkdtempSync(join(tmpdir(), 'thaw-dispatcher-'));
    const queue = await SqliteQueue.open(directory, 0);
    const bench = new Bench(queue, fields);
    t.after(async () => {
      bench.dispatcher.stop();
      bench.wheel.close();
      await queue.close();
      rmSync(directory, { recursive: true });
    });
    return bench;
  }

  async enqueue(functionName: string, count: number, dueAt = 0): Promise<void> {
    const made = Array.from({ length: count }, (_, n) =>
      this.queue.enqueue({
        functionName,
        taskId: `t${n}`,
        qualifier: 'LATEST',
        requestId: `${functionName}-${n}`,
        trigger: 'api',
        payload: { bytes: new Uint8Array(0) },
        enqueuedAt: 0,
        dueAt,
      }),
    );
    await Promise.all(made);
  }

  async settle({ leased, events }: Begun): Promise<void> {
    events.onEnded('ran');
    await this.queue.settle(leased.lease, {
      status: 'Succeeded',
      tries: 0,
      endedAt: 1,
      instanceId: '',
      versionId: '',
      events: [],
      isToHandOn: false,
    });
    events.onWritten();
  }

  begunOf(functionName: string): number {
    return this.begun.filter(({ leased }) => leased.task.functionName === functionName).length;
  }

  get(index: number): Begun {
    const begun = this.begun[index];
    assert.ok(begun !== undefined);
    return begun;
  }
}

test('a long line delays no other: few of its tasks begin before the first of another function', async (t) => {
  const bench = await Bench.open(t);
  bench.onBegin = (begun) => {
    begun.events.onStarted();
    setImmediate(() => void bench.settle(begun));
  };
  await bench.enqueue('noisy', 20_000);
  bench.dispatcher.wake('noisy', 0);
  await waitFor('the noisy one to be at work', () => bench.begun.length > 200);
  await bench.enqueue('quiet', 1);
  const before = bench.begun.length;
  bench.dispatcher.wake('quiet', 0);
  await waitFor('the quiet one to begin', () => bench.begunOf('quiet') === 1);
  const at = bench.begun.findIndex(({ leased }) => leased.task.functionName === 'quiet');
  assert.ok(at - before <= 100, `${at - before} others began first`);
  bench.dispatcher.stop();
  await bench.dispatcher.drained();
});

test('where all together run as many as may, functions take turns', async (t) => {
  const bench = await Bench.open(t, { runningMax: 1 });
  for (const name of ['a', 'b', 'c']) {
    await bench.enqueue(name, 3);
    bench.dispatcher.wake(name, 0);
  }
  await waitFor('the first to begin', () => bench.begun.length === 1);
  await waitFor('all lines to be in memory', async () => (await bench.queue.counts()).waiting === 0);
  // Replies of the queue come in the order of their questions, so all leases have been heard of.
  const order: string[] = [];
  for (let n = 0; n < 9; n += 1) {
    await waitFor(`run ${n} to begin`, () => bench.begun.length === n + 1);
    const begun = bench.get(n);
    order.push(begun.leased.task.functionName);
    begun.events.onStarted();
    await bench.settle(begun);
  }
  // The first had its next turn before the others came.
  assert.equal(order.join(''), 'aabcabcbc');
});

test('few wait for a slot at once, and few are in memory', async (t) => {
  const bench = await Bench.open(t);
  await bench.enqueue('f', 500);
  bench.dispatcher.wake('f', 0);
  await waitFor('the first to begin', () => bench.begun.length === 2);
  const { waiting, leased } = await bench.queue.counts();
  assert.equal(bench.begun.length, 2, 'as long as they have no slot, no more are begun');
  assert.deepEqual([waiting, leased], [492, 8]);
});

test('a lane grows while processors idle', async (t) => {
  const bench = await Bench.open(t, { idleShare: () => 1 });
  await bench.enqueue('f', 500);
  bench.onBegin = ({ events }) => events.onStarted();
  bench.dispatcher.wake('f', 0);
  await waitFor('the first runs', () => bench.begun.length === 2);
  await waitFor('many runs', () => {
    bench.clock.advance(300);
    bench.wheel.tick();
    return bench.begun.length >= 200;
  });
});

test('a function that cannot be run is left alone for a while, and tried one pause later', async (t) => {
  const bench = await Bench.open(t);
  let returned = 0;
  bench.onBegin = ({ leased, events }) => {
    setImmediate(() => {
      events.onEnded('deferred');
      const { tries, deferrals } = leased.task;
      const release = { status: 'Enqueued', dueAt: 2_000_000, tries, deferrals, events: [] } as const;
      void bench.queue.release(leased.lease, release).then(() => {
        events.onWritten();
        returned += 1;
      });
    });
  };
  await bench.enqueue('f', 50);
  bench.dispatcher.wake('f', 0);
  await waitFor('two to come back', () => returned === 2);
  assert.equal(bench.begun.length, 2, 'the others wait for the pause to be over');
  bench.clock.advance(520);
  bench.wheel.tick();
  await waitFor('two more to come back', () => returned === 4);
  assert.equal(bench.begun.length, 4);
  bench.dispatcher.resume('f');
  await waitFor('two more to come back, at once', () => returned === 6);
});

test('tasks are run when they are due', async (t) => {
  const bench = await Bench.open(t);
  await bench.enqueue('f', 1, 1_005_000);
  bench.dispatcher.wake('f', 1_005_000);
  assert.equal((await bench.queue.counts()).waiting, 1);
  bench.clock.advance(5_020);
  bench.wheel.tick();
  await waitFor('it to begin', () => bench.begun.length === 1);
});

test('a task is stopped before it begins, or while it runs', async (t) => {
  const bench = await Bench.open(t);
  await bench.enqueue('f', 4);
  bench.dispatcher.wake('f', 0);
  await waitFor('two to begin', () => bench.begun.length === 2);
  assert.equal(bench.dispatcher.stopTask('f', 't0'), undefined);
  assert.equal(bench.get(0).isStopped, true);
  assert.equal(bench.dispatcher.stopTask('f', 't3')?.task.taskId, 't3');
  assert.equal(bench.dispatcher.stopTask('f', 't3'), undefined);
  assert.equal(bench.dispatcher.stopTask('g', 't3'), undefined);
});

test('while many are being accepted few begin, and all when that is over', async (t) => {
  const bench = await Bench.open(t, { acceptsFirst: true, idleShare: () => 1 });
  bench.onBegin = (begun) => {
    begun.events.onStarted();
    setImmediate(() => void bench.settle(begun));
  };
  await bench.enqueue('f', 400);
  for (let n = 0; n < 100; n += 1) bench.dispatcher.accepting();
  for (let n = 0; n < 100; n += 1) bench.dispatcher.accepted('f', 0);
  await waitFor('a quarter as many to begin', () => bench.begun.length === 25);
  await waitFor('what began to be written', async () => (await bench.queue.counts()).settled === 25);
  assert.equal(bench.begun.length, 25, 'no more for those that have ended');
  await waitFor('all to begin', () => {
    bench.clock.advance(50);
    bench.wheel.tick();
    return bench.begun.length === 400;
  });
  bench.dispatcher.stop();
  await bench.dispatcher.drained();
});
