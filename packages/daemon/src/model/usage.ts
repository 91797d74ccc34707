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
