/** What one instance used on one day: a row to add to what is known. */
export interface UsageEntry {
  /** `2026-03-10`, in UTC. */
  readonly day: string;
  readonly functionName: string;
  readonly versionId: string;
  readonly instanceId: string;
  readonly memoryMb: number;
  readonly requests: number;
  /** Whole microseconds of work. */
  readonly billedUs: number;
  /** Whole MB x microseconds. */
  readonly mbUs: number;
}

export type UsageFigures = Pick<UsageEntry, 'requests' | 'billedUs' | 'mbUs'>;

export type DayUsage = Pick<UsageEntry, 'day' | 'functionName'> & UsageFigures;

export interface UsageQuery {
  readonly functionName?: string;
  /** First and last day, both included. */
  readonly from: string;
  readonly to: string;
  /** At most so many rows. */
  readonly limit: number;
}

/**
 * What functions used, by function and day and by instance and day. Contract:
 *  1. `add` adds all of the entries or none; what it has added is in every later answer. It survives the death of the
 *     process; a power failure may take the newest.
 *  2. Rows are whole sums: the rows by instance of a day add up to the day's row, for as long as both are kept.
 *  3. `byDay` and `byInstance` are sorted by day, then function, then instance.
 *  4. Rows by instance are kept for `INSTANCE_DAYS_KEPT` days and rows by day for `DAYS_KEPT`, counted back from the
 *     newest day that was added.
 */
export interface UsageLog {
  add(entries: readonly UsageEntry[]): void;
  byDay(query: UsageQuery): readonly DayUsage[];
  byInstance(query: UsageQuery): readonly UsageEntry[];
  /** Over all rows by day of the query, however many; its limit does not matter. */
  total(query: UsageQuery): UsageFigures;
  close(): void;
}

export const INSTANCE_DAYS_KEPT = 31;
export const DAYS_KEPT = 800;
