import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { utcDay } from '../../model/usage.ts';
import {
  DAYS_KEPT,
  INSTANCE_DAYS_KEPT,
  type DayUsage,
  type UsageEntry,
  type UsageFigures,
  type UsageLog,
  type UsageQuery,
} from '../usage-log.ts';
import { guarded, inTransaction, openUsageDatabase } from './sqlite-database.ts';

const DAY_MS = 86_400_000;
const FIGURES = ['requests', 'billed_us', 'mb_us'] as const;
const ADDED = FIGURES.map((column) => `${column} = ${column} + excluded.${column}`).join(', ');
const SUMS = FIGURES.map((column) => `COALESCE(SUM(${column}), 0) AS ${column}`).join(', ');
const WITHIN = 'day BETWEEN ? AND ? AND (? IS NULL OR function_name = ?)';

/** `UsageLog` in a SQLite file of its own. */
export class SqliteUsage implements UsageLog {
  readonly #database: DatabaseSync;
  readonly #addDay: StatementSync;
  readonly #addInstance: StatementSync;
  readonly #days: StatementSync;
  readonly #instances: StatementSync;
  readonly #total: StatementSync;
  readonly #trimDays: StatementSync;
  readonly #trimInstances: StatementSync;
  #newestDay = '';

  /** Opens `<directory>/usage.db`. Throws STORE_FAILED. */
  constructor(directory: string) {
    const database = openUsageDatabase(directory);
    this.#database = database;
    this.#addDay = database.prepare(
      `INSERT INTO usage_by_day VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET ${ADDED}`,
    );
    this.#addInstance = database.prepare(
      `INSERT INTO usage_by_instance VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET ${ADDED}`,
    );
    this.#days = database.prepare(
      `SELECT * FROM usage_by_day WHERE ${WITHIN} ORDER BY day, function_name LIMIT ?`,
    );
    this.#instances = database.prepare(
      `SELECT * FROM usage_by_instance WHERE ${WITHIN} ORDER BY day, function_name, instance_id LIMIT ?`,
    );
    this.#total = database.prepare(`SELECT ${SUMS} FROM usage_by_day WHERE ${WITHIN}`);
    // A sum over all functions and years may be larger than a number is exact for.
    for (const statement of [this.#days, this.#instances, this.#total]) statement.setReadBigInts(true);
    this.#trimDays = database.prepare('DELETE FROM usage_by_day WHERE day < ?');
    this.#trimInstances = database.prepare('DELETE FROM usage_by_instance WHERE day < ?');
  }

  add(entries: readonly UsageEntry[]): void {
    if (entries.length === 0) return;
    guarded('write what functions used', () =>
      inTransaction(this.#database, () => {
        for (const entry of entries) {
          const { day, functionName, instanceId, versionId, memoryMb, requests, billedUs, mbUs } = entry;
          this.#addDay.run(day, functionName, requests, billedUs, mbUs);
          this.#addInstance.run(day, functionName, instanceId, versionId, memoryMb, requests, billedUs, mbUs);
        }
        this.#trim(entries.reduce((newest, { day }) => (day > newest ? day : newest), ''));
      }),
    );
  }

  byDay(query: UsageQuery): readonly DayUsage[] {
    return guarded('read what functions used', () =>
      this.#days.all(...within(query), query.limit).map((row) => ({
        day: String(row['day']),
        functionName: String(row['function_name']),
        ...figuresOf(row),
      })),
    );
  }

  byInstance(query: UsageQuery): readonly UsageEntry[] {
    return guarded('read what instances used', () =>
      this.#instances.all(...within(query), query.limit).map((row) => ({
        day: String(row['day']),
        functionName: String(row['function_name']),
        versionId: String(row['version_id']),
        instanceId: String(row['instance_id']),
        memoryMb: Number(row['memory_mb']),
        ...figuresOf(row),
      })),
    );
  }

  total(query: UsageQuery): UsageFigures {
    return guarded('add up what functions used', () => figuresOf(this.#total.get(...within(query)) ?? {}));
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close();
  }

  /** Once for each new day. */
  #trim(day: string): void {
    if (day <= this.#newestDay) return;
    this.#newestDay = day;
    const dayMs = Date.parse(day);
    this.#trimDays.run(utcDay(dayMs - (DAYS_KEPT - 1) * DAY_MS));
    this.#trimInstances.run(utcDay(dayMs - (INSTANCE_DAYS_KEPT - 1) * DAY_MS));
  }
}

function within({
  from,
  to,
  functionName = null,
}: Omit<UsageQuery, 'functionName'> & { functionName?: string | null }): [
  string,
  string,
  string | null,
  string | null,
] {
  return [from, to, functionName, functionName];
}

function figuresOf(row: Record<string, unknown>): UsageFigures {
  return {
    requests: Number(row['requests'] ?? 0),
    billedUs: Number(row['billed_us'] ?? 0),
    mbUs: Number(row['mb_us'] ?? 0),
  };
}
