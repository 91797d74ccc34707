import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseTimerSchedule } from './timer-schedule.ts';

const at = (text: string): number => Date.parse(text);
const iso = (ms: number | undefined): string | undefined =>
  ms === undefined ? undefined : new Date(ms).toISOString().replace('.000Z', 'Z');

function nextTimes(cronExpression: string, from: string, count: number, timezone = ''): unknown[] {
  const schedule = parseTimerSchedule({ cronExpression, timezone });
  const times: unknown[] = [];
  let lastMs = at(from);
  for (let index = 0; index < count; index += 1) {
    lastMs = schedule.next(lastMs, lastMs) ?? NaN;
    times.push(iso(lastMs));
  }
  return times;
}

test('six fields, seconds first, in UTC unless a zone is named', () => {
  assert.deepEqual(nextTimes('0 0 8 * * *', '2026-11-21T00:00:00Z', 2), [
    '2026-11-21T08:00:00Z',
    '2026-11-22T08:00:00Z',
  ]);
  assert.deepEqual(nextTimes('*/20 * * * * *', '2026-11-21T00:00:05Z', 3), [
    '2026-11-21T00:00:20Z',
    '2026-11-21T00:00:40Z',
    '2026-11-21T00:01:00Z',
  ]);
  assert.deepEqual(nextTimes('0 30 9 ? * MON-FRI', '2026-11-20T12:00:00Z', 1), ['2026-11-23T09:30:00Z']);
  const inShanghai = ['2026-11-20T20:00:00Z'];
  assert.deepEqual(nextTimes('CRON_TZ=Asia/Shanghai 0 0 4 * * *', '2026-11-20T12:00:00Z', 1), inShanghai);
  assert.deepEqual(nextTimes('0 0 4 * * *', '2026-11-20T12:00:00Z', 1, 'Asia/Shanghai'), inShanghai);
  assert.deepEqual(nextTimes('0 0 0 29 2 *', '2026-11-20T12:00:00Z', 1), ['2028-02-29T00:00:00Z']);
});

test('an interval is counted from the time before it', () => {
  assert.deepEqual(nextTimes('@every 5m', '2026-11-21T10:02:58Z', 2), [
    '2026-11-21T10:07:58Z',
    '2026-11-21T10:12:58Z',
  ]);
  assert.deepEqual(nextTimes('@every 1h30m', '2026-11-21T10:00:00Z', 1), ['2026-11-21T11:30:00Z']);
  const schedule = parseTimerSchedule({ cronExpression: '@every 10s', timezone: '' });
  assert.equal(schedule.next(0, 25_000), 30_000, 'after a pause in its own steps');
  assert.deepEqual(schedule.between(0, 45_000, 100), [10_000, 20_000, 30_000, 40_000]);
  assert.deepEqual(schedule.between(0, 45_000, 2), [30_000, 40_000]);
  assert.deepEqual(schedule.between(0, 9_999, 2), []);
});

test('an hour that summer time leaves out is made up for right after it, once', () => {
  // New York, 2026-03-08: 02:00 to 03:00 does not exist.
  assert.deepEqual(nextTimes('0 30 2 * * *', '2026-03-07T12:00:00Z', 2, 'America/New_York'), [
    '2026-03-08T07:00:00Z',
    '2026-03-09T06:30:00Z',
  ]);
  assert.deepEqual(nextTimes('0 0 9 * * *', '2026-03-07T12:00:00Z', 3, 'America/New_York'), [
    '2026-03-07T14:00:00Z',
    '2026-03-08T13:00:00Z',
    '2026-03-09T13:00:00Z',
  ]);
});

test('an hour that comes twice when summer time ends runs a daily timer once', () => {
  // Berlin, 2026-10-25: 02:00 to 03:00 comes twice.
  const times = nextTimes('0 30 2 * * *', '2026-10-24T12:00:00Z', 2, 'Europe/Berlin');
  assert.equal(times.length, 2);
  assert.equal(times[1], '2026-10-26T01:30:00Z');
  assert(['2026-10-25T00:30:00Z', '2026-10-25T01:30:00Z'].includes(String(times[0])));
});

test('a timer that runs every few minutes never stands still while the clocks change', () => {
  for (const [zone, from] of [
    ['Europe/Berlin', '2026-10-24T23:30:00Z'],
    ['America/New_York', '2026-03-08T05:30:00Z'],
    ['Australia/Lord_Howe', '2026-04-04T13:30:00Z'],
  ] as const) {
    const times = nextTimes('0 */10 * * * *', from, 24, zone).map((text) => at(String(text)));
    const schedule = parseTimerSchedule({ cronExpression: '0 */10 * * * *', timezone: zone });
    assert.deepEqual(
      schedule.between(at(from), times.at(-1) ?? 0, 24),
      times,
      `${zone}: found as waited for`,
    );
    for (const [index, ms] of times.entries()) {
      const beforeMs = times[index - 1] ?? at(from);
      assert(ms > beforeMs, `${zone}: time goes on`);
    }
  }
});

test('what is no schedule is refused with its reason', () => {
  for (const [cronExpression, timezone, reason] of [
    ['* * * * *', '', /5 fields/],
    ['0 0 8 * * * 2026', '', /7 fields/],
    ['61 * * * * *', '', /61|range/i],
    ['a b c d e f', '', /./],
    ['0 0 0 30 2 *', '', /never comes/],
    ['@every 0s', '', /@every/],
    ['@every five', '', /@every/],
    ['@every 500ms', '', /@every/],
    ['@every 99999h', '', /@every/],
    ['0 0 8 * * *', 'Mars/Olympus', /Mars\/Olympus/],
    ['CRON_TZ=Nowhere 0 0 8 * * *', '', /Nowhere/],
    ['CRON_TZ=Asia/Tokyo 0 0 8 * * *', 'Asia/Shanghai', /Asia\/Tokyo and timezone Asia\/Shanghai/],
  ] as const) {
    assert.throws(
      () => parseTimerSchedule({ cronExpression, timezone }),
      { message: reason },
      cronExpression,
    );
  }
});
