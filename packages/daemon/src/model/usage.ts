/**
 * What functions used. Time is counted in whole microseconds and what was used in whole MB x microseconds: whole numbers
 * add up in any order, so a total is exactly the sum of its parts. CU are what people are shown.
 */

const MB_US_PER_CU = 1024 * 1_000_000;

/** Time during which one instance worked, without the gaps between its requests. */
export interface BilledInterval {
  readonly functionName: string;
  readonly versionId: string;
  readonly instanceId: string;
  readonly memoryMb: number;
  /** Wall time in milliseconds with microseconds behind the point. */
  readonly startMs: number;
  readonly endMs: number;
  /** Requests that began in it. Hooks are work but no requests. */
  readonly requests: number;
}

/** What an interval of so many microseconds with so much memory used, in MB x microseconds. */
export function mbMicroseconds(billedUs: number, memoryMb: number): number {
  return billedUs * memoryMb;
}

/** 1 CU is 1 GB for 1 second. */
export function computeUnits(mbUs: number): number {
  return mbUs / MB_US_PER_CU;
}

/** Whole microseconds of a time in milliseconds. */
export function microseconds(ms: number): number {
  return Math.round(ms * 1000);
}

const DAY_US = 86_400_000_000;

/** What of an interval falls on one day. */
export interface DayShare {
  /** `2026-03-10`, in UTC. */
  readonly day: string;
  readonly billedUs: number;
  readonly requests: number;
}

/** Work over midnight belongs to both days, each its part; its requests are counted on the first. */
export function sharesByDay({ startMs, endMs, requests }: BilledInterval): DayShare[] {
  const startUs = microseconds(startMs);
  const endUs = microseconds(endMs);
  const shares: DayShare[] = [];
  for (let fromUs = startUs; fromUs < endUs || shares.length === 0;) {
    const nextDayUs = (Math.floor(fromUs / DAY_US) + 1) * DAY_US;
    const toUs = Math.min(endUs, nextDayUs);
    shares.push({
      day: utcDay(fromUs / 1000),
      billedUs: toUs - fromUs,
      requests: shares.length === 0 ? requests : 0,
    });
    fromUs = toUs;
  }
  return shares;
}

export function utcDay(atMs: number): string {
  const dayNumber = Math.floor((atMs * 1000) / DAY_US);
  // Asked for every request, and nearly always of the same day.
  if (lastDay.number !== dayNumber) {
    lastDay = { number: dayNumber, text: new Date(atMs).toISOString().slice(0, 10) };
  }
  return lastDay.text;
}

let lastDay = { number: NaN, text: '' };
