import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import * as fc from 'fast-check';
import { ManualClock } from '../base/clock.ts';
import { DeadlineWheel } from '../base/deadline-wheel.ts';
import { computeUnits, mbMicroseconds, sharesByDay, utcDay, type BilledInterval } from '../model/usage.ts';
import { SqliteUsage } from './sqlite/sqlite-usage.ts';
import { DAYS_KEPT, INSTANCE_DAYS_KEPT, type UsageEntry, type UsageLog } from './usage-log.ts';
import { UsageRecorder } from './usage-recorder.ts';

const DAY_MS = 86_400_000;
const ALL = { from: '0000-00-00', to: '9999-99-99', limit: 10_000 };

async function openUsage(t: TestContext): Promise<{ directory: string; log: UsageLog }> {
  const directory = await mkdtemp(join(tmpdir(), 'thaw-usage-'));
  t.after(() => rm(directory, { recursive: true }));
  const log = new SqliteUsage(directory);
  t.after(() => log.close());
  return { directory, log };
}

function entry(change: Partial<UsageEntry> = {}): UsageEntry {
  return {
    day: '2026-03-10',
    functionName: 'hello',
    versionId: 'LATEST',
    instanceId: 'c-1',
    memoryMb: 512,
    requests: 1,
    billedUs: 1_000,
    mbUs: 512_000,
    ...change,
  };
}

test('1, 3: what was added is there after opening again, in order', async (t) => {
  const { directory, log } = await openUsage(t);
  log.add([
    entry({ functionName: 'b' }),
    entry({ day: '2026-03-09' }),
    entry({ instanceId: 'c-0' }),
    entry(),
  ]);
  log.add([entry()]);
  log.close();
  const again = new SqliteUsage(directory);
  t.after(() => again.close());
  assert.deepEqual(again.byDay(ALL), [
    { day: '2026-03-09', functionName: 'hello', requests: 1, billedUs: 1_000, mbUs: 512_000 },
    { day: '2026-03-10', functionName: 'b', requests: 1, billedUs: 1_000, mbUs: 512_000 },
    { day: '2026-03-10', functionName: 'hello', requests: 3, billedUs: 3_000, mbUs: 1_536_000 },
  ]);
  assert.deepEqual(
    again
      .byInstance({ ...ALL, functionName: 'hello', from: '2026-03-10' })
      .map((row) => [row.instanceId, row.requests]),
    [
      ['c-0', 1],
      ['c-1', 2],
    ],
  );
  assert.deepEqual(again.total({ ...ALL, to: '2026-03-09' }), {
    requests: 1,
    billedUs: 1_000,
    mbUs: 512_000,
  });
  assert.deepEqual(again.total({ ...ALL, functionName: 'nobody' }), { requests: 0, billedUs: 0, mbUs: 0 });
  assert.equal(again.byDay({ ...ALL, limit: 2 }).length, 2);
});

test('1: a batch with a wrong entry adds nothing', async (t) => {
  const { log } = await openUsage(t);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const wrong = entry({ billedUs: 'much' as unknown as number });
  assert.throws(() => log.add([entry(), wrong]), { code: 'STORE_FAILED' });
  assert.deepEqual(log.byDay(ALL), []);
});

test('4: old days go, those by instance first', async (t) => {
  const { log } = await openUsage(t);
  const dayAgo = (days: number): string => utcDay(Date.UTC(2026, 2, 10) - days * DAY_MS);
  for (const days of [DAYS_KEPT, DAYS_KEPT - 1, INSTANCE_DAYS_KEPT, INSTANCE_DAYS_KEPT - 1, 0]) {
    log.add([entry({ day: dayAgo(days) })]);
  }
  assert.deepEqual(
    log.byDay(ALL).map((row) => row.day),
    [DAYS_KEPT - 1, INSTANCE_DAYS_KEPT, INSTANCE_DAYS_KEPT - 1, 0].map(dayAgo),
  );
  assert.deepEqual(
    log.byInstance(ALL).map((row) => row.day),
    [dayAgo(INSTANCE_DAYS_KEPT - 1), dayAgo(0)],
  );
});

test('an interval over midnights is divided among its days, and its requests are counted once', () => {
  const midnight = Date.UTC(2026, 2, 11);
  const interval: BilledInterval = {
    functionName: 'hello',
    versionId: 'LATEST',
    instanceId: 'c-1',
    memoryMb: 1024,
    startMs: midnight - 0.25,
    endMs: midnight + DAY_MS + 0.5,
    requests: 2,
  };
  assert.deepEqual(sharesByDay(interval), [
    { day: '2026-03-10', billedUs: 250, requests: 2 },
    { day: '2026-03-11', billedUs: DAY_MS * 1000, requests: 0 },
    { day: '2026-03-12', billedUs: 500, requests: 0 },
  ]);
  assert.deepEqual(sharesByDay({ ...interval, startMs: midnight, endMs: midnight }), [
    { day: '2026-03-11', billedUs: 0, requests: 2 },
  ]);
});

const someInterval = fc.record({
  functionName: fc.constantFrom('a', 'b', 'c'),
  versionId: fc.constant('LATEST'),
  instance: fc.nat(3),
  startUs: fc.nat(4 * DAY_MS),
  lengthUs: fc.nat(2 * DAY_MS),
  requests: fc.nat(20),
});

test('2: whatever is recorded, instances add up to days, days to the total, and all of it to what was reported', async (t) => {
  const { log } = await openUsage(t);
  const clock = new ManualClock();
  const wheel = new DeadlineWheel(clock);
  t.after(() => wheel.close());
  const recorder = new UsageRecorder(log, wheel, (_level, message) => assert.fail(message));
  const sum = <T>(rows: readonly T[], figure: (row: T) => number): number =>
    rows.reduce((total, row) => total + figure(row), 0);
  let reported = 0;
  let requests = 0;
  fc.assert(
    fc.property(fc.array(someInterval, { maxLength: 40 }), (intervals) => {
      for (const { functionName, versionId, instance, startUs, lengthUs, requests: count } of intervals) {
        const memoryMb = 128 * (instance + 1);
        const startMs = Date.UTC(2026, 2, 10) + startUs / 1000;
        recorder.add({
          functionName,
          versionId,
          instanceId: `${functionName}-${instance}`,
          memoryMb,
          startMs,
          endMs: startMs + lengthUs / 1000,
          requests: count,
        });
        reported += mbMicroseconds(lengthUs, memoryMb);
        requests += count;
      }
      clock.advance(1_000);
      wheel.tick();
      const days = log.byDay(ALL);
      const instances = log.byInstance(ALL);
      for (const { day, functionName, mbUs } of days) {
        const of = instances.filter((row) => row.day === day && row.functionName === functionName);
        assert.equal(
          sum(of, (row) => row.mbUs),
          mbUs,
        );
      }
      const total = log.total(ALL);
      assert.equal(
        sum(days, (row) => row.mbUs),
        total.mbUs,
      );
      assert.equal(
        sum(instances, (row) => row.billedUs),
        total.billedUs,
      );
      assert.deepEqual([total.mbUs, total.requests], [reported, requests]);
      assert.equal(computeUnits(total.mbUs), reported / 1024 / 1e6);
    }),
    { numRuns: 30 },
  );
});

test('a batch that cannot be written is written with the next one', async (t) => {
  const { log } = await openUsage(t);
  const clock = new ManualClock();
  const wheel = new DeadlineWheel(clock);
  t.after(() => wheel.close());
  const said: string[] = [];
  let isFull = true;
  const failing: UsageLog = {
    add: (entries) => {
      if (isFull) throw new Error('no space left');
      log.add(entries);
    },
    byDay: (query) => log.byDay(query),
    byInstance: (query) => log.byInstance(query),
    total: (query) => log.total(query),
    close: () => undefined,
  };
  const recorder = new UsageRecorder(failing, wheel, (_level, message) => said.push(message));
  const interval = { ...entry(), startMs: Date.UTC(2026, 2, 10), endMs: Date.UTC(2026, 2, 10) + 5 };
  recorder.add(interval);
  recorder.flush();
  assert.equal(said.length, 1);
  isFull = false;
  recorder.add(interval);
  clock.advance(1_000);
  wheel.tick();
  assert.deepEqual(log.total(ALL), { requests: 2, billedUs: 10_000, mbUs: 5_120_000 });
});
