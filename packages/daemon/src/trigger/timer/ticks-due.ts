import type { CatchUp } from '@thaw/protocol/fc/triggers/timer.ts';
import type { TimerSchedule } from './timer-schedule.ts';

/** However long the platform was down, a timer with `catchUp: all` makes up for so many times, the last ones. */
export const CATCH_UP_TICKS_MAX = 100;
/** A running platform may be busy: a time that passed so lately is late and not missed. */
export const LATE_MS_MAX = 60_000;
/** A clock that was set back further has the timer go on from the new time, or it would be silent for as long. */
const SET_BACK_MS_MAX = 60_000;
const LATE_TICKS_MAX = 120;

export interface TimerMoment {
  readonly schedule: TimerSchedule;
  readonly catchUp: CatchUp;
  /** The last time that was dealt with. */
  readonly lastMs: number;
  readonly nowMs: number;
  /** How long ago a time may lie and still be late only: 0 when the platform was down. */
  readonly lateMsMax: number;
}

export interface TicksDue {
  /** Oldest first. */
  readonly ticks: readonly number[];
  /** With these, everything up to here is dealt with. */
  readonly lastMs: number;
}

/** Which times a timer has to act on now. */
export function ticksDue({ schedule, catchUp, lastMs, nowMs, lateMsMax }: TimerMoment): TicksDue {
  if (lastMs > nowMs + SET_BACK_MS_MAX) return { ticks: [], lastMs: nowMs };
  const lateFromMs = nowMs - lateMsMax;
  const latest = schedule.between(lastMs, nowMs, LATE_TICKS_MAX);
  const last = latest.at(-1);
  if (last === undefined) return { ticks: [], lastMs };
  const late = latest.filter((atMs) => atMs >= lateFromMs);
  if (catchUp === 'none') return { ticks: late, lastMs: last };
  if (catchUp === 'last') return { ticks: late.length > 0 ? late : [last], lastMs: last };
  const missed = schedule.between(lastMs, lateFromMs - 1, CATCH_UP_TICKS_MAX);
  return { ticks: [...missed, ...late], lastMs: last };
}
