import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requireSchedules, targetAt } from './provision-schedule.ts';

const at = (text: string): number => Date.parse(text);
const day = { name: 'day', target: 5, scheduleExpression: 'cron(0 0 8 * * *)' };
const night = { name: 'night', target: 1, scheduleExpression: 'cron(0 0 20 * * *)' };

test('without actions the default holds for ever', () => {
  assert.deepEqual(targetAt(2, [], at('2026-03-10T12:00:00Z')), { target: 2, changesAtMs: undefined });
});

test('the action that was due last holds until the next one', () => {
  const noon = targetAt(2, [day, night], at('2026-03-10T12:00:00Z'));
  assert.deepEqual(noon, { target: 5, changesAtMs: at('2026-03-10T20:00:00Z') });
  const late = targetAt(2, [day, night], at('2026-03-10T20:00:00Z'));
  assert.deepEqual(late, { target: 1, changesAtMs: at('2026-03-11T08:00:00Z') });
});

test('an action counts between its start and its end only', () => {
  const bounded = { ...day, startTime: '2026-03-10T00:00:00Z', endTime: '2026-03-12T00:00:00Z' };
  const target = (time: string): number => targetAt(2, [bounded], at(time)).target;
  assert.deepEqual(
    [
      '2026-03-09T12:00:00Z',
      '2026-03-10T07:59:59Z',
      '2026-03-10T08:00:00Z',
      '2026-03-11T23:59:59Z',
      '2026-03-12T00:00:00Z',
    ].map(target),
    [2, 2, 5, 5, 2],
  );
  const before = targetAt(2, [bounded], at('2026-03-01T00:00:00Z'));
  assert.equal(before.changesAtMs, at('2026-03-10T00:00:00Z'));
});

test('at() is due once; time zones are those of the action', () => {
  const once = { name: 'once', target: 7, scheduleExpression: 'at(2026-03-10T10:00:00)' };
  assert.deepEqual(targetAt(0, [once], at('2026-03-10T09:59:59Z')), {
    target: 0,
    changesAtMs: at('2026-03-10T10:00:00Z'),
  });
  assert.deepEqual(targetAt(0, [once], at('2026-03-10T10:00:00Z')), { target: 7, changesAtMs: undefined });
  const shanghai = { ...once, timeZone: 'Asia/Shanghai' };
  assert.equal(targetAt(0, [shanghai], at('2026-03-10T01:59:59Z')).target, 0);
  assert.equal(targetAt(0, [shanghai], at('2026-03-10T02:00:00Z')).target, 7);
  const berlin = { ...day, timeZone: 'Europe/Berlin' };
  assert.equal(targetAt(0, [berlin], at('2026-07-10T12:00:00Z')).changesAtMs, at('2026-07-11T06:00:00Z'));
});

test('what is no schedule is refused by name', () => {
  for (const scheduleExpression of [
    'daily',
    'cron(0 8 * * *)',
    'cron(0 0 99 * * *)',
    'at(noon)',
    'rate(5 minutes)',
  ]) {
    assert.throws(() => requireSchedules('scheduledActions', [day, { ...day, scheduleExpression }]), {
      code: 'INVALID_ARGUMENT',
      message: /^scheduledActions\.1 \('day'\) is not valid: /,
    });
  }
  for (const change of [{ timeZone: 'Mars/Olympus' }, { startTime: 'soon' }]) {
    assert.throws(() => requireSchedules('scheduledActions', [{ ...day, ...change }]), {
      code: 'INVALID_ARGUMENT',
    });
  }
  requireSchedules('scheduledActions', [day, night]);
});
