import type { ScheduledAction } from '@thaw/protocol/fc/provision.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { Cron } from 'croner';

/** How many instances are to be ready, and when that may change next. */
export interface TargetNow {
  readonly target: number;
  /** Wall time in milliseconds; undefined: never by itself. */
  readonly changesAtMs: number | undefined;
}

/**
 * What a schedule says at a moment: the action that was due last holds until another one is due or its time has ended;
 * before, between and after them the default holds. A pure function of the time, so a platform that was down for a
 * while is right again at once.
 */
export function targetAt(
  defaultTarget: number,
  actions: readonly ScheduledAction[],
  nowMs: number,
): TargetNow {
  let target = defaultTarget;
  let latestMs = -Infinity;
  let changesAtMs = Infinity;
  for (const action of actions) {
    const startMs = timeIn(action, 'startTime') ?? -Infinity;
    const endMs = timeIn(action, 'endTime') ?? Infinity;
    const dueMs = lastDue(action, nowMs);
    if (nowMs < endMs && dueMs !== undefined && dueMs >= startMs && dueMs >= latestMs) {
      latestMs = dueMs;
      target = action.target;
    }
    for (const atMs of [startMs, endMs, nextDue(action, Math.max(nowMs, startMs - 1))]) {
      if (atMs !== undefined && atMs > nowMs) changesAtMs = Math.min(changesAtMs, atMs);
    }
  }
  return { target, changesAtMs: changesAtMs === Infinity ? undefined : changesAtMs };
}

/** Throws INVALID_ARGUMENT for texts that are no time, time zone or schedule. `field` is what the client calls the list. */
export function requireSchedules(field: string, actions: readonly ScheduledAction[]): void {
  for (const [index, action] of actions.entries()) {
    try {
      targetAt(0, [action], Date.UTC(2026, 0, 1));
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new ThawError('INVALID_ARGUMENT', `${field}.${index} ('${action.name}') is not valid: ${why}`, {
        cause,
        details: { field },
      });
    }
  }
}

function lastDue(action: ScheduledAction, nowMs: number): number | undefined {
  const at = onceAt(action);
  if (at !== undefined) return at <= nowMs ? at : undefined;
  // What is due at this very moment counts.
  return cronOf(action)
    .previousRuns(1, new Date(nowMs + 1))[0]
    ?.getTime();
}

function nextDue(action: ScheduledAction, afterMs: number): number | undefined {
  const at = onceAt(action);
  if (at !== undefined) return at > afterMs ? at : undefined;
  return cronOf(action).nextRun(new Date(afterMs))?.getTime();
}

/** `at(2026-03-10T10:10:10)`; undefined for another kind of expression. */
function onceAt({ scheduleExpression, timeZone }: ScheduledAction): number | undefined {
  const match = /^at\((.*)\)$/.exec(scheduleExpression.trim());
  return match?.[1] === undefined ? undefined : parseTime(match[1], timeZone, 'scheduleExpression');
}

/** Six fields, seconds first. Kept, since a schedule is asked again and again. */
const crons = new Map<string, Cron>();
const CRONS_MAX = 1_000;

function cronOf({ scheduleExpression, timeZone = '' }: ScheduledAction): Cron {
  const match = /^cron\((.*)\)$/.exec(scheduleExpression.trim());
  const pattern = match?.[1]?.trim();
  if (pattern === undefined || pattern.split(/\s+/).length !== 6) {
    throw new Error('scheduleExpression must be cron(SECONDS MINUTES HOURS DAY MONTH WEEKDAY) or at(TIME)');
  }
  const key = `${pattern}|${timeZone}`;
  const known = crons.get(key);
  if (known !== undefined) return known;
  if (crons.size >= CRONS_MAX) crons.clear();
  const cron = new Cron(pattern, { paused: true, timezone: timeZone === '' ? 'UTC' : timeZone });
  crons.set(key, cron);
  return cron;
}

function timeIn(action: ScheduledAction, field: 'startTime' | 'endTime'): number | undefined {
  const value = action[field];
  return value === undefined || value === '' ? undefined : parseTime(value, action.timeZone, field);
}

/** A time without a zone of its own is in the action's, which is UTC where it names none. */
function parseTime(value: string, timeZone: string | undefined, field: string): number {
  const plain = value.trim().replace(/Z$/, '');
  const utcMs = Date.parse(/[+-]\d\d:?\d\d$/.test(plain) ? plain : `${plain}Z`);
  if (!Number.isFinite(utcMs))
    throw new Error(`${field} must be a time like 2026-03-10T10:10:10, not '${value}'`);
  if (timeZone === undefined || timeZone === '' || plain !== value.trim()) return utcMs;
  return utcMs - offsetMs(utcMs - offsetMs(utcMs, timeZone), timeZone);
}

/** How far a zone's clocks are ahead of UTC at a moment. */
function offsetMs(atMs: number, timeZone: string): number {
  const shown = new Intl.DateTimeFormat('sv-SE', {
    timeZone,
    dateStyle: 'short',
    timeStyle: 'medium',
  }).format(atMs);
  return Date.parse(`${shown.replace(' ', 'T')}Z`) - Math.floor(atMs / 1000) * 1000;
}
