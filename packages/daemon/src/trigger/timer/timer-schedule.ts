import type { TimerTriggerConfig } from '@thaw/protocol/fc/triggers/timer.ts';
import { Cron } from 'croner';

/** When a timer is due: milliseconds since 1970, in UTC, whatever zone its expression is in. */
export interface TimerSchedule {
  /**
   * The first time after `afterMs`; undefined where there is none any more. An interval is counted from `lastMs`, the
   * time before it.
   */
  next(lastMs: number, afterMs: number): number | undefined;
  /** The last `count` times in (`lastMs`, `untilMs`], oldest first. */
  between(lastMs: number, untilMs: number, count: number): readonly number[];
}

const EVERY = /^@every\s+(.+)$/i;
const ZONE = /^(?:CRON_TZ|TZ)=(\S+)\s+(.*)$/s;
const CRON_FIELDS = 6;
const FORWARD_MAX = 200;
const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 };
const INTERVAL_MS_MAX = 366 * 86_400_000;

/** Throws an Error that says what is wrong with it. */
export function parseTimerSchedule(
  config: Pick<TimerTriggerConfig, 'cronExpression' | 'timezone'>,
): TimerSchedule {
  const given = config.cronExpression.trim();
  const [, prefixed, rest = given] = ZONE.exec(given) ?? [];
  if (prefixed !== undefined && config.timezone !== '' && config.timezone !== prefixed) {
    throw new Error(`cronExpression names the time zone ${prefixed} and timezone ${config.timezone}`);
  }
  const timezone = prefixed ?? (config.timezone === '' ? 'UTC' : config.timezone);
  requireTimeZone(timezone);
  const interval = EVERY.exec(rest.trim());
  return interval === null ? cronSchedule(rest.trim(), timezone) : intervalSchedule(interval[1] ?? '');
}

function cronSchedule(expression: string, timezone: string): TimerSchedule {
  const fields = expression.split(/\s+/);
  if (fields.length !== CRON_FIELDS) {
    throw new Error(
      `cronExpression has ${fields.length} fields; it must have six (SECONDS MINUTES HOURS DAY MONTH WEEKDAY), or be @every with a time such as 5m`,
    );
  }
  const cron = new Cron(expression, { paused: true, timezone });
  if (cron.nextRun(new Date(0)) === null) throw new Error('cronExpression names a time that never comes');
  const next = (afterMs: number): number | undefined => cron.nextRun(new Date(afterMs))?.getTime();
  return {
    next: (_lastMs, afterMs) => next(afterMs),
    between: (lastMs, untilMs, count) => {
      // Forward where that is short, so that what was waited for is also what is found, through every change of a
      // zone's clocks; backward over a long gap.
      const times: number[] = [];
      for (let atMs = next(lastMs); times.length < FORWARD_MAX; atMs = next(atMs)) {
        if (atMs === undefined || atMs > untilMs) return times.slice(-count);
        times.push(atMs);
      }
      return (
        cron
          // What is due at that very moment counts.
          .previousRuns(count, new Date(untilMs + 1))
          .map((time) => time.getTime())
          .filter((atMs) => atMs > lastMs && atMs <= untilMs)
          .toSorted((one, other) => one - other)
      );
    },
  };
}

function intervalSchedule(text: string): TimerSchedule {
  const everyMs = parseInterval(text.trim());
  return {
    next: (lastMs, afterMs) => lastMs + (Math.floor(Math.max(0, afterMs - lastMs) / everyMs) + 1) * everyMs,
    between: (lastMs, untilMs, count) => {
      const passed = Math.max(0, Math.floor((untilMs - lastMs) / everyMs));
      const wanted = Math.min(passed, count);
      return Array.from({ length: wanted }, (_, index) => lastMs + (passed - wanted + 1 + index) * everyMs);
    },
  };
}

/** `90s`, `5m`, `1h30m`. */
function parseInterval(text: string): number {
  const parts = /^(?:\d+[smh])+$/i.test(text) ? text.matchAll(/(\d+)([smh])/gi) : [];
  let ms = 0;
  for (const [, amount = '', unit = ''] of parts) ms += Number(amount) * (UNIT_MS[unit.toLowerCase()] ?? 0);
  if (ms < 1_000 || ms > INTERVAL_MS_MAX) {
    throw new Error(
      `@every must be followed by a time from 1s to 8784h such as 90s, 5m or 1h30m, not '${text}'`,
    );
  }
  return ms;
}

function requireTimeZone(timeZone: string): void {
  try {
    Intl.DateTimeFormat('en', { timeZone });
  } catch (cause) {
    throw new Error(`there is no time zone '${timeZone}'; use a name such as Asia/Shanghai`, { cause });
  }
}
