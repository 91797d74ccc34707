import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { computeUnits, utcDay } from '../../model/usage.ts';
import type { UsageFigures, UsageLog, UsageQuery } from '../../store/usage-log.ts';

const ROWS_MAX = 10_000;
const DAYS_DEFAULT = 30;
const DAY_MS = 86_400_000;

export interface UsageSource {
  readonly log: UsageLog;
  /** Writes what has been measured and waits to be written. */
  flush(): void;
}

/**
 * What functions used, from one day to another (UTC, both included; the last 30 by default): `by=day` by function and
 * day, `by=instance` by instance and day, with the total over all days. Times are milliseconds, resources CU.
 * Throws INVALID_ARGUMENT, LIMIT_EXCEEDED where there are more rows than one answer may hold.
 */
export function usageAnswer(source: UsageSource, parameters: URLSearchParams, nowMs: number): object {
  const to = dayIn(parameters, 'to') ?? utcDay(nowMs);
  const from = dayIn(parameters, 'from') ?? utcDay(Date.parse(to) - (DAYS_DEFAULT - 1) * DAY_MS);
  if (from > to) throw new ThawError('INVALID_ARGUMENT', `from (${from}) must not be after to (${to})`);
  const by = parameters.get('by') ?? 'day';
  if (by !== 'day' && by !== 'instance') {
    throw new ThawError('INVALID_ARGUMENT', `by must be day or instance, not '${by}'`);
  }
  const functionName = parameters.get('functionName');
  const query: UsageQuery = {
    from,
    to,
    limit: ROWS_MAX + 1,
    ...(functionName === null || functionName === '' ? {} : { functionName }),
  };
  source.flush();
  const rows = by === 'day' ? source.log.byDay(query) : source.log.byInstance(query);
  if (rows.length > ROWS_MAX) {
    throw new ThawError(
      'LIMIT_EXCEEDED',
      `there are more than ${ROWS_MAX} rows: ask for fewer days, or for one function`,
    );
  }
  return { from, to, usage: rows.map(shown), total: shown(source.log.total(query)) };
}

/** The figures as people count them; what else the row says stays as it is. */
function shown({ billedUs, mbUs, ...rest }: UsageFigures): object {
  return { ...rest, billedMs: billedUs / 1000, cu: computeUnits(mbUs) };
}

function dayIn(parameters: URLSearchParams, name: 'from' | 'to'): string | undefined {
  const day = parameters.get(name);
  if (day === null || day === '') return undefined;
  if (/^\d{4}-\d\d-\d\d$/.test(day) && !Number.isNaN(Date.parse(day)) && utcDay(Date.parse(day)) === day)
    return day;
  throw new ThawError('INVALID_ARGUMENT', `${name} must be a day like 2026-03-10, not '${day}'`);
}
