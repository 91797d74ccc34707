import assert from 'node:assert/strict';
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Timeline } from '@thaw/protocol/timeline.ts';
import { triggerKindOf } from '../../model/trigger-kind.ts';
import type { InvocationLog, InvocationPage, InvocationQuery, InvocationRecord } from '../invocation-log.ts';
import { guarded, inTransaction, openInvocationDatabase } from './sqlite-database.ts';

const RECORDS_MAX_DEFAULT = 200_000;

/** On top of one deletion for each insertion: a lowered bound is reached in small steps, never in one long stop. */
const TRIM_EXTRA = 256;

const LIST_LIMIT_MAX = 1_000;

export interface SqliteInvocationsOptions {
  readonly recordsMax?: number;
}

const COLUMNS = [
  'request_id',
  'function_name',
  'version_id',
  'qualifier',
  'instance_id',
  'kind',
  'source',
  'started_at',
  'status',
  'error_code',
  'error_type',
  'cold_start',
  'timeline',
  'billed_ms',
  'memory_mb',
  'memory_peak_mb',
  'status_code',
  'replay_of',
].join(', ');

/** `InvocationLog` in a SQLite file of its own. */
export class SqliteInvocations implements InvocationLog {
  readonly #recordsMax: number;
  readonly #database: DatabaseSync;
  readonly #insert: StatementSync;
  readonly #trim: StatementSync;
  readonly #selectOne: StatementSync;
  readonly #selectAll: StatementSync;
  readonly #selectOfFunction: StatementSync;

  /** Opens `<directory>/invocations.db`. Throws STORE_FAILED. */
  constructor(directory: string, options: SqliteInvocationsOptions = {}) {
    this.#recordsMax = options.recordsMax ?? RECORDS_MAX_DEFAULT;
    assert(this.#recordsMax > 0);
    const database = openInvocationDatabase(directory);
    this.#database = database;
    this.#insert = database.prepare(
      `INSERT OR REPLACE INTO invocations (${COLUMNS}) VALUES (${COLUMNS.replaceAll(/\w+/g, '?')}) RETURNING seq`,
    );
    this.#trim = database.prepare(
      'DELETE FROM invocations WHERE seq IN (SELECT seq FROM invocations WHERE seq <= ? ORDER BY seq LIMIT ?)',
    );
    this.#selectOne = database.prepare(`SELECT seq, ${COLUMNS} FROM invocations WHERE request_id = ?`);
    const newestFirst = 'ORDER BY started_at DESC, seq DESC LIMIT ?';
    this.#selectAll = database.prepare(
      `SELECT seq, ${COLUMNS} FROM invocations WHERE (started_at, seq) < (?, ?) ${newestFirst}`,
    );
    this.#selectOfFunction = database.prepare(
      `SELECT seq, ${COLUMNS} FROM invocations WHERE function_name = ? AND (started_at, seq) < (?, ?) ${newestFirst}`,
    );
  }

  append(records: readonly InvocationRecord[]): void {
    if (records.length === 0) return;
    guarded('write the invocation records', () =>
      inTransaction(this.#database, () => {
        let last = 0;
        for (const record of records) last = Number(this.#insert.get(...valuesOf(record))?.['seq']);
        // Sequence numbers have gaps where a record was replaced, so this keeps the bound or a few less.
        this.#trim.run(last - this.#recordsMax, records.length + TRIM_EXTRA);
      }),
    );
  }

  amend(requestId: string, timeline: Timeline): void {
    const record = this.get(requestId);
    if (record !== undefined) this.append([{ ...record, timeline: { ...record.timeline, ...timeline } }]);
  }

  get(requestId: string): InvocationRecord | undefined {
    return guarded(`read the invocation ${requestId}`, () => {
      const row = this.#selectOne.get(requestId);
      return row === undefined ? undefined : recordOf(row);
    });
  }

  list(query: InvocationQuery): InvocationPage {
    const limit = Math.max(1, Math.min(query.limit, LIST_LIMIT_MAX));
    const position = query.before === undefined ? FIRST_PAGE : positionOf(query.before);
    return guarded('list invocations', () => {
      const rows =
        query.functionName === undefined
          ? this.#selectAll.all(...position, limit + 1)
          : this.#selectOfFunction.all(query.functionName, ...position, limit + 1);
      const records = rows.slice(0, limit).map(recordOf);
      const last = rows[limit - 1];
      if (rows.length <= limit || last === undefined) return { records };
      return { records, next: `${Number(last['started_at'])}.${Number(last['seq'])}` };
    });
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close();
  }
}

type Position = readonly [startedAt: number, seq: number];
const FIRST_PAGE: Position = [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER];

function positionOf(token: string): Position {
  const match = /^(\d{1,15})\.(\d{1,15})$/.exec(token);
  if (match === null)
    throw new ThawError('INVALID_ARGUMENT', 'the page token of the invocation list is not valid');
  return [Number(match[1]), Number(match[2])];
}

function valuesOf(record: InvocationRecord): SQLInputValue[] {
  return [
    record.requestId,
    record.functionName,
    record.versionId,
    record.qualifier,
    record.instanceId,
    record.kind,
    record.trigger,
    Math.floor(record.startedAt),
    record.status,
    record.errorCode ?? null,
    record.errorType ?? null,
    record.coldStart ? 1 : 0,
    JSON.stringify(record.timeline),
    record.billedMs,
    record.memoryMb,
    record.memoryPeakMb ?? null,
    record.statusCode ?? null,
    record.replayOf ?? null,
  ];
}

function recordOf(row: Record<string, unknown>): InvocationRecord {
  return {
    requestId: String(row['request_id']),
    functionName: String(row['function_name']),
    versionId: String(row['version_id']),
    qualifier: String(row['qualifier']),
    instanceId: String(row['instance_id']),
    kind: row['kind'] === 'async' ? 'async' : 'sync',
    trigger: triggerKindOf(row['source']),
    startedAt: Number(row['started_at']),
    status: row['status'] === 'failed' ? 'failed' : 'succeeded',
    ...(typeof row['error_code'] === 'string' ? { errorCode: row['error_code'] } : {}),
    ...(typeof row['error_type'] === 'string' ? { errorType: row['error_type'] } : {}),
    coldStart: row['cold_start'] === 1,
    timeline: JSON.parse(String(row['timeline'])),
    billedMs: Number(row['billed_ms']),
    memoryMb: Number(row['memory_mb']),
    ...(row['memory_peak_mb'] === null ? {} : { memoryPeakMb: Number(row['memory_peak_mb']) }),
    ...(row['status_code'] === null ? {} : { statusCode: Number(row['status_code']) }),
    ...(typeof row['replay_of'] === 'string' ? { replayOf: row['replay_of'] } : {}),
  };
}
