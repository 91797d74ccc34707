import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { SimulatedInstance } from './simulated-instance.ts';
import { simulatedFunction, Simulation, type SimulatedRequest } from './simulation.ts';

const hello = simulatedFunction('hello');

function ended(request: SimulatedRequest | undefined): void {
  request?.instance?.release();
}

test('the initializer scenario: two calls start two instances, the third waits for whichever is ready first', () => {
  using simulation = new Simulation();
  const requests = [simulation.request(hello), simulation.request(hello)];
  assert.equal(simulation.created.length, 2);
  simulation.created[0]?.becomeReady();
  assert.deepEqual(
    requests.map((each) => each.isRunning),
    [true, false],
  );
  ended(requests[0]);
  // The first instance is free before the second is ready: no cold start is waited for any more.
  assert.equal(requests[1]?.instance, simulation.created[0]);
  const third = simulation.request(hello);
  assert.equal(simulation.created.length, 2);
  simulation.created[1]?.becomeReady();
  assert.equal(third.instance, simulation.created[1]);
});

test('the instance used last is taken first, and an awake one before a frozen one', () => {
  using simulation = new Simulation();
  const requests = [simulation.request(hello), simulation.request(hello), simulation.request(hello)];
  simulation.settle();
  for (const request of requests) ended(request);
  const [first, second, third] = simulation.created;
  third?.freeze();
  assert.equal(simulation.request(hello).instance, second);
  assert.equal(simulation.request(hello).instance, first);
  const thawing = simulation.request(hello);
  assert.equal(thawing.instance, third);
  assert.equal(third?.state.name, 'thawing');
  assert.equal(simulation.created.length, 3);
});

/** What can happen in a simulated platform, with the number that picks to whom it happens. */
const happenings = fc.array(
  fc.tuple(
    fc.constantFrom(
      'burst',
      'ready',
      'fail',
      'release',
      'exit',
      'crash',
      'freeze',
      'wait',
      'reserve',
      'update',
      'withdraw',
      'provision',
    ),
    fc.nat(1000),
  ),
  { maxLength: 120, size: 'max' },
);

test('whatever happens: no limit is ever exceeded, and every request is answered or refused in the end', () => {
  const limits = {
    instancesMax: 12,
    instancesPerFunctionMax: 8,
    memoryMbMax: 128 * 11,
    waitersPerFunctionMax: 40,
  };
  fc.assert(
    fc.property(happenings, fc.integer({ min: 1, max: 3 }), (events, concurrency) => {
      using simulation = new Simulation(limits);
      const revisions = [1, 1, 1];
      const sessions = {
        kind: 'header',
        name: 'session',
        sessionsPerInstance: 2,
        ttlMs: 30_000,
        idleMs: 10_000,
      } as const;
      const versionOf = (at: number) =>
        simulatedFunction(`f${at}`, {
          key: `f${at}@${revisions[at]}`,
          instanceConcurrency: concurrency,
          memoryMb: 128 * (at + 1),
          sessionAffinity: at === 2 ? sessions : undefined,
        });
      const open: { request: SimulatedRequest; runnable: ReturnType<typeof versionOf> }[] = [];
      const pick = <T>(items: readonly T[], by: number): T | undefined =>
        items[by % Math.max(1, items.length)];
      const inState = (...names: string[]): SimulatedInstance[] =>
        simulation.live().filter(({ state }) => names.includes(state.name));
      const mayBeAbove = new Map<string, number>();
      const check = (): void => {
        assert.ok(simulation.live().length <= limits.instancesMax);
        const memoryMb = simulation.live().reduce((sum, { runnable }) => sum + runnable.memoryMb, 0);
        assert.ok(memoryMb <= limits.memoryMbMax);
        for (const name of ['f0', 'f1', 'f2']) {
          assert.ok(simulation.live(name).length <= limits.instancesPerFunctionMax);
          assert.ok(simulation.waiting(name) <= limits.waitersPerFunctionMax);
          const running = simulation.live(name).reduce((sum, { inFlight }) => sum + inFlight, 0);
          // A bound that was lowered lets run what ran.
          const bound = Math.max(reserved.get(name) ?? Infinity, mayBeAbove.get(name) ?? 0);
          assert.ok(running <= bound, `${running} of ${name} run, ${bound} may`);
          mayBeAbove.set(name, Math.min(running, mayBeAbove.get(name) ?? 0));
        }
      };
      const reserved = new Map<string, number>();
      for (const [event, by] of events) {
        const at = by % 3;
        if (event === 'burst') {
          for (let count = by % 25; count > 0; count -= 1) {
            const runnable = versionOf(at);
            open.push({
              runnable,
              request: simulation.request(runnable, at === 2 ? `s${count % 5}` : undefined),
            });
          }
        } else if (event === 'ready') pick(inState('starting'), by)?.becomeReady();
        else if (event === 'fail')
          pick(inState('starting'), by)?.failStart(new ThawError('CODE_NOT_LOADED', 'no'));
        else if (event === 'release') pick(inState('busy'), by)?.release();
        else if (event === 'exit')
          pick(
            simulation.live().filter((each) => each.isEnding),
            by,
          )?.exit();
        else if (event === 'crash') pick(inState('idle', 'busy'), by)?.exit();
        else if (event === 'freeze') pick(inState('idle'), by)?.freeze();
        else if (event === 'wait') simulation.advance(by * 10);
        else if (event === 'update') revisions[at] = (revisions[at] ?? 0) + 1;
        else if (event === 'provision') {
          simulation.scheduler.provision(`f${at}`, [{ runnable: versionOf(at), target: by % 7 }]);
        } else if (event === 'withdraw') {
          const gone = pick(open, by);
          if (gone !== undefined && !gone.request.isRunning && gone.request.error === undefined) {
            simulation.scheduler.withdraw(gone.runnable, gone.request);
            open.splice(open.indexOf(gone), 1);
          }
        } else {
          const name = `f${at}`;
          const running = simulation.live(name).reduce((sum, { inFlight }) => sum + inFlight, 0);
          mayBeAbove.set(name, running);
          if (by % 4 === 0) reserved.delete(name);
          else reserved.set(name, by % 9);
          simulation.scheduler.reserve(name, reserved.get(name));
        }
        for (const thawing of inState('thawing')) thawing.thaw();
        check();
      }
      // The storm is over: everything that runs ends, everything that starts succeeds.
      for (const name of ['f0', 'f1', 'f2']) simulation.scheduler.reserve(name, undefined);
      reserved.clear();
      const isOpen = ({ request }: (typeof open)[number]): boolean =>
        !request.isRunning && request.error === undefined;
      for (let round = 0; round < 400 && open.some(isOpen); round += 1) {
        simulation.settle();
        for (const busy of inState('busy')) busy.release();
        simulation.advance(1_000);
        check();
      }
      assert.equal(open.filter(isOpen).length, 0);
      assert.equal([...simulation.scheduler.waiting()].length, 0);
    }),
    { numRuns: 200 },
  );
});

test('a burst of 1,000 with 10 reserved: 10 instances, everyone is answered or refused with Retry-After', () => {
  using simulation = new Simulation({ waitersPerFunctionMax: 500 });
  simulation.scheduler.reserve('hello', 10);
  const requests = Array.from({ length: 1000 }, () => simulation.request(hello));
  assert.equal(simulation.live().length, 10);
  const refused = requests.filter(({ error }) => error !== undefined);
  assert.equal(refused.length, 500);
  assert.ok(
    refused.every(({ error }) => error?.code === 'QUEUE_FULL' && error.status === 429 && error.retryAfterS),
  );
  assert.equal(simulation.throttled, 500);
  simulation.settle();
  for (let ran = 0; ran < 500; ran += 1) {
    assert.ok(simulation.live().length <= 10);
    simulation
      .live()
      .find(({ inFlight }) => inFlight > 0)
      ?.release();
  }
  assert.equal(requests.filter(({ isRunning }) => isRunning).length, 500);
  assert.equal(simulation.created.length, 10);
});

test('reserved concurrency holds over all versions, and changes at once without touching what runs', () => {
  using simulation = new Simulation();
  const version1 = simulatedFunction('hello', { key: 'hello@v1', versionId: '1' });
  simulation.scheduler.reserve('hello', 2);
  const requests = [hello, version1, hello, version1].map((runnable) => simulation.request(runnable));
  simulation.settle();
  assert.deepEqual(
    requests.map((each) => each.isRunning),
    [true, true, false, false],
  );
  simulation.scheduler.reserve('hello', 1);
  ended(requests[0]);
  simulation.settle();
  assert.equal(
    simulation.live().reduce((sum, { inFlight }) => sum + inFlight, 0),
    1,
  );
  simulation.scheduler.reserve('hello', undefined);
  simulation.settle();
  assert.deepEqual(
    requests.slice(1).map((each) => each.isRunning),
    [true, true, true],
  );
  simulation.scheduler.reserve('hello', 0);
  const refused = simulation.request(hello);
  assert.equal(refused.error?.code, 'THROTTLED');
  assert.equal(requests[3]?.instance?.inFlight, 1);
});

test('an idle instance of one version makes way for another version at the limit', () => {
  using simulation = new Simulation();
  const version1 = simulatedFunction('hello', { key: 'hello@v1', versionId: '1' });
  simulation.scheduler.reserve('hello', 1);
  const first = simulation.request(hello);
  simulation.settle();
  ended(first);
  const second = simulation.request(version1);
  assert.equal(second.isRunning, false);
  simulation.settle();
  assert.equal(second.isRunning, true);
  assert.equal(simulation.live().length, 1);
});

test('a version may say how many instances it has at most', () => {
  using simulation = new Simulation();
  const single = simulatedFunction('single', { instancesMax: 1 });
  const requests = [simulation.request(single), simulation.request(single)];
  simulation.settle();
  assert.equal(simulation.created.length, 1);
  ended(requests[0]);
  assert.equal(requests[1]?.isRunning, true);
});

test('many slots on one instance never run more than what is reserved', () => {
  using simulation = new Simulation();
  const many = simulatedFunction('many', { instanceConcurrency: 20 });
  simulation.scheduler.reserve('many', 3);
  const requests = Array.from({ length: 5 }, () => simulation.request(many));
  simulation.settle();
  assert.equal(simulation.live().length, 1);
  assert.equal(requests.filter(({ isRunning }) => isRunning).length, 3);
  ended(requests[0]);
  assert.equal(requests.filter(({ isRunning }) => isRunning).length, 4);
});

test('provisioned instances are started ahead, replaced, and spared by idle timeout and eviction', () => {
  using simulation = new Simulation({ memoryMbMax: 128 * 4 });
  simulation.scheduler.provision('hello', [{ runnable: hello, target: 2 }]);
  assert.deepEqual(simulation.scheduler.provisioned({ runnable: hello, target: 2 }), { current: 0 });
  simulation.settle();
  assert.deepEqual(simulation.scheduler.provisioned({ runnable: hello, target: 2 }), { current: 2 });
  simulation.advance(3_600_000);
  assert.deepEqual(simulation.states(), ['idle', 'idle']);
  const busy = Array.from({ length: 4 }, () => simulation.request(simulatedFunction('other')));
  simulation.settle();
  assert.equal(simulation.live('hello').length, 2);
  assert.equal(busy.filter(({ isRunning }) => isRunning).length, 2);
  simulation.live('hello')[0]?.exit();
  simulation.settle();
  assert.equal(simulation.live('hello').length, 2);
  simulation.scheduler.provision('hello', []);
  simulation.advance(1_000);
  simulation.settle();
  assert.equal(simulation.live('hello').length, 0);
  assert.equal(busy.filter(({ isRunning }) => isRunning).length, 4);
});

test('on an update the new revision takes the provision over', () => {
  using simulation = new Simulation();
  simulation.scheduler.provision('hello', [{ runnable: hello, target: 2 }]);
  simulation.settle();
  const next = simulatedFunction('hello', { key: 'hello@2' });
  simulation.scheduler.provision('hello', [{ runnable: next, target: 2 }]);
  simulation.settle();
  assert.deepEqual(
    simulation.live().map(({ runnable }) => runnable.key),
    ['hello@2', 'hello@2'],
  );
});

test('a provisioned instance that cannot start is tried again ever later, and says why it is not there', () => {
  using simulation = new Simulation();
  simulation.scheduler.provision('hello', [{ runnable: hello, target: 1 }]);
  for (const started of [1, 2, 3]) {
    assert.equal(simulation.created.length, started);
    simulation.created.at(-1)?.failStart(new ThawError('CODE_NOT_LOADED', 'no such module'));
    simulation.settle();
    assert.deepEqual(simulation.scheduler.provisioned({ runnable: hello, target: 1 }), {
      current: 0,
      error: 'no such module',
    });
    simulation.advance(1_000 * 2 ** (started - 1) - 1_000);
    assert.equal(simulation.created.length, started);
    simulation.advance(1_100);
  }
  simulation.settle();
  assert.deepEqual(simulation.scheduler.provisioned({ runnable: hello, target: 1 }), { current: 1 });
});

test('what cannot be provisioned for lack of memory drives nobody out', () => {
  using simulation = new Simulation({ memoryMbMax: 128 * 3 });
  const other = simulation.request(simulatedFunction('other'));
  simulation.settle();
  ended(other);
  simulation.scheduler.provision('hello', [{ runnable: hello, target: 4 }]);
  simulation.settle();
  assert.equal(simulation.live('other').length, 1);
  const { current, error } = simulation.scheduler.provisioned({ runnable: hello, target: 4 });
  assert.equal(current, 2);
  assert.match(error ?? '', /no room/);
});

test('an idle instance stops after its own timeout, or the default one', () => {
  using simulation = new Simulation();
  const brief = simulatedFunction('brief', { idleMsMax: 2_000 });
  const requests = [simulation.request(hello), simulation.request(brief)];
  simulation.settle();
  for (const request of requests) ended(request);
  simulation.advance(1_000);
  assert.equal(simulation.live('brief').length, 1);
  simulation.advance(1_200);
  simulation.settle();
  assert.equal(simulation.live('brief').length, 0);
  simulation.live('hello')[0]?.freeze();
  simulation.advance(296_000);
  assert.equal(simulation.live('hello').length, 1);
  simulation.advance(3_000);
  simulation.settle();
  assert.equal(simulation.live().length, 0);
});

test('under memory pressure the instance goes that is worth the least, not the one that idles longest', () => {
  using simulation = new Simulation({ memoryMbMax: 128 * 2 });
  const popular = simulatedFunction('popular');
  const rare = simulatedFunction('rare');
  for (let count = 0; count < 5; count += 1) {
    const request = simulation.request(popular);
    simulation.settle();
    ended(request);
  }
  simulation.advance(1_000);
  const once = simulation.request(rare);
  simulation.settle();
  ended(once);
  const newcomer = simulation.request(hello);
  assert.deepEqual(simulation.evicted, ['rare']);
  // The room is on its way: asking again drives nobody else out.
  simulation.request(hello);
  simulation.settle();
  assert.equal(newcomer.isRunning, true);
  assert.deepEqual(simulation.evicted, ['rare', 'popular']);
});

test('nobody is driven out for instances that a function may not have anyway', () => {
  using simulation = new Simulation({ memoryMbMax: 128 * 4 });
  const idle = simulation.request(simulatedFunction('idle'));
  simulation.settle();
  ended(idle);
  simulation.scheduler.reserve('hello', 2);
  const requests = Array.from({ length: 100 }, () => simulation.request(hello));
  simulation.settle();
  const other = simulation.request(simulatedFunction('other'));
  simulation.settle();
  ended(other);
  ended(requests[0]);
  assert.deepEqual(simulation.evicted, []);
  assert.deepEqual([simulation.live('idle').length, simulation.live('other').length], [1, 1]);
  assert.equal(requests.filter(({ isRunning }) => isRunning).length, 3);
});

test('settings that concern no instance are taken over by the instances that there are', () => {
  using simulation = new Simulation();
  const request = simulation.request(hello);
  simulation.settle();
  ended(request);
  simulation.scheduler.adopt(simulatedFunction('hello', { idleMsMax: 500 }));
  simulation.advance(1_000);
  simulation.settle();
  assert.equal(simulation.live().length, 0);
});

test('closing refuses who waits, lets run what runs, and starts nothing', async () => {
  using simulation = new Simulation();
  simulation.scheduler.reserve('hello', 1);
  simulation.scheduler.provision('other', [{ runnable: simulatedFunction('other'), target: 1 }]);
  const [running, waiting] = [simulation.request(hello), simulation.request(hello)];
  simulation.settle();
  const closed = simulation.scheduler.close(5_000);
  assert.equal(waiting.error?.code, 'SHUTTING_DOWN');
  assert.equal(running.instance?.inFlight, 1);
  simulation.settle();
  simulation.advance(5_100);
  simulation.settle();
  await closed;
  assert.equal(simulation.live().length, 0);
  assert.equal(simulation.request(hello).error?.code, 'SHUTTING_DOWN');
});
