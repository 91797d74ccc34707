import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { AsyncTask, FinalStatus, TaskError, TaskEvent } from '../../model/async-task.ts';
import type {
  DeadLetterQuery,
  Enqueued,
  GivenBytes,
  Lease,
  Leased,
  LeasedTask,
  Line,
  NewTask,
  Progress,
  Queue,
  QueueCounts,
  Redrive,
  Release,
  Settlement,
  StopAnswer,
  TaskPage,
  TaskQuery,
  TrimBounds,
  Trimmed,
} from '../queue.ts';
import {
  DUE_COLUMNS,
  dueTaskOf,
  encodeEvents,
  TASK_COLUMNS,
  taskOf,
  withEvents,
  type Row,
} from './queue-row.ts';
import { inTransaction, openQueueDatabase } from './sqlite-database.ts';
import { deadLettersQuery, taskListQuery, tokenOf } from './task-list-query.ts';
import { UnwrittenLeases, type UnwrittenLease } from './unwritten-leases.ts';

/** Removed by one call, so that nobody who enqueues waits behind a large clearance. */
const TRIM_ROWS_MAX = 500;
/** Settled by one step of an invalidation. */
const INVALIDATE_ROWS_MAX = 500;
/** The log is written back into the database so many pages at a time, 16 MiB, not after every few commits. */
const CHECKPOINT_PAGES = 4000;
const PAGE_BYTES = 4096;
/** Tokens of one opening; the opening's number comes before them, so none is ever given twice. */
const TOKENS_PER_OPENING = 2 ** 32;
/** Before all that waits. */
const LINE_FRONT = { dueAt: Number.MIN_SAFE_INTEGER, seq: 0 };

const WAITING = 0;
const LEASED = 1;
const SETTLED = 2;
const DEAD = 3;

export interface QueueDatabaseOptions {
  /** Tasks that may wait, over all functions. */
  readonly waitingMax: number;
  /** Bytes that the database's file may have; absent: as many as the disk. */
  readonly fileBytesMax?: number | undefined;
}

/** The calls of `Queue` without their promises: whoever holds the database decides when they are committed. */
export type QueueCalls = {
  [Name in Exclude<keyof Queue, 'close' | 'invalidate'>]: Queue[Name] extends (
    ...args: infer Args
  ) => Promise<infer Result>
    ? (...args: Args) => Result
    : never;
};

/** The tables of the queue. A call that throws a ThawError has written nothing. */
export class QueueDatabase implements QueueCalls {
  readonly #database: DatabaseSync;
  readonly #waitingMax: number;
  /** By their text: those of this file, and one for each combination of filters that a list can have. */
  readonly #statements = new Map<string, StatementSync>();
  readonly #unwritten = new UnwrittenLeases();
  #nextToken: number;
  #counts: QueueCounts;

  /** Opens `<directory>/queue.db` and ends the leases of whoever had it before. Throws STORE_FAILED. */
  constructor(directory: string, nowMs: number, options: QueueDatabaseOptions) {
    this.#database = openQueueDatabase(directory);
    this.#waitingMax = options.waitingMax;
    this.#database.exec(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
    if (options.fileBytesMax !== undefined) {
      this.#database.exec(`PRAGMA max_page_count = ${Math.ceil(options.fileBytesMax / PAGE_BYTES)}`);
    }
    this.#nextToken = inTransaction(this.#database, () => {
      this.#endLeases(nowMs);
      return this.#noteOpening() * TOKENS_PER_OPENING;
    });
    this.#counts = this.#count();
  }

  /** Runs the calls as one commit. What it throws has undone all of them. */
  commit(calls: () => void): void {
    const counts = this.#counts;
    this.#unwritten.begin();
    try {
      inTransaction(this.#database, calls);
    } catch (error) {
      this.#counts = counts;
      this.#unwritten.undo();
      throw error;
    }
  }

  enqueue(task: NewTask): Enqueued {
    if (this.#counts.waiting >= this.#waitingMax) {
      throw new ThawError('QUEUE_FULL', `${this.#counts.waiting} asynchronous invocations wait already`, {
        retryAfterS: 1,
      });
    }
    const { functionName, taskId, payload } = task;
    const event = { status: 'Enqueued', at: task.enqueuedAt, detail: '' } as const;
    const row = this.#sql(
      `INSERT INTO tasks (function_name, task_id, qualifier, request_id, source, http, phase, status, token,
         enqueued_at, due_at, tries, deferrals, instance_id, version_id, events, payload_size, payload_blob,
         to_hand_on, destination_status)
       VALUES (?, ?, ?, ?, ?, ?, ${WAITING}, 'Enqueued', 0, ?, ?, 0, 0, '', '', ?, ?, ?, 0, '')
       ON CONFLICT DO NOTHING RETURNING seq`,
    ).get(
      functionName,
      taskId,
      task.qualifier,
      task.requestId,
      task.trigger,
      task.http ?? null,
      Math.floor(task.enqueuedAt),
      Math.floor(task.dueAt),
      encodeEvents([event]),
      sizeOf(payload),
      blobOf(payload),
    );
    if (row === undefined) {
      const there = this.#sql('SELECT request_id FROM tasks WHERE function_name = ? AND task_id = ?').get(
        functionName,
        taskId,
      );
      return { requestId: String(there?.['request_id']), isDuplicate: true };
    }
    const seq = Number(row['seq']);
    this.#keepBytes('payloads', seq, payload);
    this.#unwritten.noteWaiting(functionName, { dueAt: Math.floor(task.dueAt), seq });
    this.#add({ waiting: 1 });
    return { requestId: task.requestId, isDuplicate: false };
  }

  lease(functionName: string, limit: number, nowMs: number): Leased {
    const taken = this.#unwritten.takenUpTo(functionName);
    const { dueAt, seq } = taken ?? LINE_FRONT;
    // Where it is not known how far the line is taken, what is leased already comes along. One more tells what is next.
    const leased = taken === undefined ? this.#unwritten.count(functionName) : 0;
    const rows = this.#sql(
      `SELECT ${DUE_COLUMNS}, (SELECT bytes FROM payloads WHERE payloads.seq = tasks.seq) AS payload
       FROM tasks WHERE function_name = ? AND phase = ${WAITING} AND (due_at, seq) > (?, ?)
       ORDER BY due_at, seq LIMIT ?`,
    ).iterate(functionName, dueAt, seq, leased + limit + 1);
    const at = Math.floor(nowMs);
    const tasks: LeasedTask[] = [];
    let nextDueAt: number | undefined;
    for (const row of rows) {
      const position = { dueAt: Number(row['due_at']), seq: Number(row['seq']) };
      if (this.#unwritten.get(position.seq) !== undefined) continue;
      if (position.dueAt > at || tasks.length === limit) {
        nextDueAt = position.dueAt;
        break;
      }
      tasks.push(this.#leaseRow(row, at));
      this.#unwritten.setTakenUpTo(functionName, position);
    }
    this.#add({ waiting: -tasks.length, leased: tasks.length });
    return { tasks, nextDueAt };
  }

  lines(): readonly Line[] {
    this.#writeLeases();
    const lines: Line[] = [];
    const next = this.#sql(
      `SELECT function_name, due_at FROM tasks WHERE phase = ${WAITING} AND function_name > ?
       ORDER BY function_name, due_at LIMIT 1`,
    );
    for (let row = next.get(''); row !== undefined;) {
      const functionName = String(row['function_name']);
      lines.push({ functionName, nextDueAt: Number(row['due_at']) });
      row = next.get(functionName);
    }
    return lines;
  }

  progress(lease: Lease, progress: Progress): boolean {
    this.#writeLease(lease.seq);
    const held = this.#held(lease);
    if (held === undefined) return false;
    // Who asked it to stop is told of that until it has.
    const status = held.isStopping ? 'Stopping' : progress.status;
    this.#sql(
      'UPDATE tasks SET status = ?, started_at = ?, instance_id = ?, version_id = ?, events = ? WHERE seq = ?',
    ).run(
      status,
      Math.floor(progress.startedAt),
      progress.instanceId,
      progress.versionId,
      withEvents(held.events, progress.events),
      lease.seq,
    );
    return true;
  }

  release(lease: Lease, release: Release): boolean {
    const held = this.#held(lease);
    if (held === undefined) return false;
    const events = withEvents(held.events, release.events);
    if (held.isStopping) {
      const at = release.events.at(-1)?.at ?? 0;
      const stopped = { status: 'Stopped', at, detail: '' } as const;
      this.#settleRow({ seq: lease.seq, events }, 'Stopped', release.error, stopped);
      this.#add({ leased: -1, settled: 1, settledBytes: held.payloadSize });
      return true;
    }
    this.#sql(
      `UPDATE tasks SET phase = ${WAITING}, status = ?, due_at = ?, tries = ?, deferrals = ?, error = ?, events = ?
       WHERE seq = ?`,
    ).run(
      release.status,
      Math.floor(release.dueAt),
      release.tries,
      release.deferrals,
      encodeError(release.error),
      events,
      lease.seq,
    );
    this.#unwritten.remove(lease.seq);
    this.#unwritten.noteWaiting(held.functionName, { dueAt: Math.floor(release.dueAt), seq: lease.seq });
    this.#add({ waiting: 1, leased: -1 });
    return true;
  }

  settle(lease: Lease, settlement: Settlement): boolean {
    const held = this.#held(lease);
    if (held === undefined) return false;
    const { result } = settlement;
    this.#sql(
      `UPDATE tasks SET phase = ?, status = ?, tries = ?, started_at = coalesce(?, started_at), ended_at = ?,
         instance_id = ?, version_id = ?, error = ?, events = ?, result_size = ?, result_blob = ?, result_head = ?,
         to_hand_on = ? WHERE seq = ?`,
    ).run(
      phaseOf(settlement.status),
      settlement.status,
      settlement.tries,
      settlement.startedAt === undefined ? null : Math.floor(settlement.startedAt),
      Math.floor(settlement.endedAt),
      settlement.instanceId,
      settlement.versionId,
      encodeError(settlement.error),
      withEvents(held.events, settlement.events),
      result === undefined ? null : sizeOf(result),
      result === undefined ? null : blobOf(result),
      settlement.resultHead ?? null,
      settlement.isToHandOn ? 1 : 0,
      lease.seq,
    );
    this.#unwritten.remove(lease.seq);
    if (result !== undefined) this.#keepBytes('results', lease.seq, result);
    const bytes = held.payloadSize + (result === undefined ? 0 : sizeOf(result));
    this.#add({ leased: -1, settled: 1, settledBytes: bytes });
    return true;
  }

  stop(functionName: string, taskId: string, event: TaskEvent): StopAnswer {
    this.#writeLeases(functionName);
    const row = this.#sql(
      `SELECT phase, ${TASK_COLUMNS} FROM tasks WHERE function_name = ? AND task_id = ?`,
    ).get(functionName, taskId);
    if (row === undefined) return 'unknown';
    const phase = Number(row['phase']);
    if (phase === WAITING) {
      this.#settleWaiting(row, 'Stopped', undefined, event);
      return 'stopped';
    }
    if (phase !== LEASED) return row['status'] === 'Stopped' ? 'stopped' : 'settled';
    if (row['status'] !== 'Stopping') {
      this.#sql("UPDATE tasks SET status = 'Stopping', events = ? WHERE seq = ?").run(
        withEvents(row['events'], [{ ...event, status: 'Stopping' }]),
        Number(row['seq']),
      );
    }
    return 'leased';
  }

  /** The newest task there is. */
  lastSeq(): number {
    return Number(this.#sql('SELECT max(seq) AS last FROM tasks').get()?.['last'] ?? 0);
  }

  /** One step of `invalidate`, over the tasks up to `lastSeq`. */
  invalidateStep(
    functionName: string,
    lastSeq: number,
    error: TaskError,
    event: TaskEvent,
  ): { readonly settled: number; readonly isMore: boolean } {
    this.#writeLeases(functionName);
    const rows = this.#sql(
      `SELECT ${TASK_COLUMNS} FROM tasks WHERE function_name = ? AND phase = ${WAITING} AND seq <= ? LIMIT ?`,
    ).all(functionName, lastSeq, INVALIDATE_ROWS_MAX);
    for (const row of rows) this.#settleWaiting(row, 'Invalid', error, event);
    return { settled: rows.length, isMore: rows.length === INVALIDATE_ROWS_MAX };
  }

  get(functionName: string, taskId: string): AsyncTask | undefined {
    const row = this.#sql(`SELECT ${TASK_COLUMNS} FROM tasks WHERE function_name = ? AND task_id = ?`).get(
      functionName,
      taskId,
    );
    if (row === undefined) return undefined;
    const lease = this.#unwritten.get(Number(row['seq']));
    return taskOf(lease === undefined ? row : { ...row, status: 'Dequeued', events: leasedEvents(lease) });
  }

  list(query: TaskQuery): TaskPage {
    this.#writeLeases(query.functionName);
    const { sql, values } = taskListQuery(query);
    const rows = this.#sql(sql).all(...values);
    const tasks = rows.slice(0, query.limit).map(taskOf);
    const last = tasks.at(-1);
    return rows.length <= query.limit || last === undefined ? { tasks } : { tasks, next: tokenOf(last) };
  }

  bytes(seq: number, which: 'payload' | 'result'): Uint8Array | undefined {
    const bytes = this.#sql(`SELECT bytes FROM ${which}s WHERE seq = ?`).get(seq)?.['bytes'];
    return bytes instanceof Uint8Array ? bytes : undefined;
  }

  toHandOn(afterSeq: number, limit: number): readonly AsyncTask[] {
    return this.#sql(
      `SELECT ${TASK_COLUMNS} FROM tasks WHERE to_hand_on = 1 AND seq > ? ORDER BY seq LIMIT ?`,
    )
      .all(afterSeq, limit)
      .map(taskOf);
  }

  handedOn(seq: number, destinationStatus: string): void {
    this.#sql('UPDATE tasks SET to_hand_on = 0, destination_status = ? WHERE seq = ?').run(
      destinationStatus,
      seq,
    );
  }

  deadLetters(query: DeadLetterQuery): TaskPage {
    const { sql, values } = deadLettersQuery(DEAD, query);
    const rows = this.#sql(sql).all(...values);
    const tasks = rows.slice(0, query.limit).map(taskOf);
    const last = tasks.at(-1);
    if (rows.length <= query.limit || last === undefined) return { tasks };
    return { tasks, next: `${last.endedAt ?? 0}.${last.seq}` };
  }

  redrive(functionName: string, taskId: string, redrive: Redrive): boolean {
    const row = this.#deadRow(functionName, taskId);
    if (row === undefined) return false;
    const task = taskOf(row);
    const { blob, size } = task.payload;
    const bytes = this.bytes(task.seq, 'payload') ?? NOTHING;
    const at = Math.floor(redrive.at);
    this.enqueue({
      functionName,
      qualifier: task.qualifier,
      taskId: redrive.taskId,
      requestId: redrive.requestId,
      trigger: redrive.trigger,
      payload: blob === undefined ? { bytes } : { blob, size },
      enqueuedAt: at,
      dueAt: at,
      ...(task.http === undefined ? {} : { http: task.http }),
    });
    const event = { status: task.status, at, detail: `redriven as ${redrive.taskId}` };
    this.#sql(`UPDATE tasks SET phase = ${SETTLED}, events = ? WHERE seq = ?`).run(
      withEvents(row['events'], [event]),
      task.seq,
    );
    return true;
  }

  removeDead(functionName: string, taskId: string): 'removed' | 'held' | 'unknown' {
    const row = this.#deadRow(functionName, taskId);
    if (row === undefined) return 'unknown';
    if (row['to_hand_on'] === 1) return 'held';
    this.#remove(row);
    return 'removed';
  }

  trim(bounds: TrimBounds): Trimmed {
    const removed = { removed: 0, removedBlobs: false };
    const remove = (rows: readonly Row[]): void => {
      for (const row of rows) {
        this.#remove(row);
        removed.removed += 1;
        removed.removedBlobs ||= row['payload_blob'] !== null || row['result_blob'] !== null;
      }
    };
    remove(this.#oldest(SETTLED, bounds.settledBefore, TRIM_ROWS_MAX));
    remove(this.#oldest(DEAD, bounds.deadLettersBefore, TRIM_ROWS_MAX - removed.removed));
    // What ran well goes before what somebody may want to look at.
    for (const phase of [SETTLED, DEAD]) {
      for (const row of this.#oldest(phase, Number.MAX_SAFE_INTEGER, TRIM_ROWS_MAX - removed.removed)) {
        if (!this.#isBeyond(bounds)) break;
        remove([row]);
      }
    }
    return { ...removed, isMore: removed.removed === TRIM_ROWS_MAX };
  }

  blobs(): ReadonlySet<string> {
    const named = this.#sql(
      `SELECT payload_blob AS blob FROM tasks WHERE payload_blob IS NOT NULL
       UNION SELECT result_blob FROM tasks WHERE result_blob IS NOT NULL`,
    ).all();
    return new Set(named.map((row) => String(row['blob'])));
  }

  counts(): QueueCounts {
    return this.#counts;
  }

  close(): void {
    this.#database.close();
  }

  #leaseRow(row: Row, leasedAt: number): LeasedTask {
    const task = dueTaskOf(row);
    const { seq, functionName, payload } = task;
    const token = this.#nextToken;
    this.#nextToken += 1;
    const events = String(row['events']);
    this.#unwritten.add(seq, { functionName, token, leasedAt, events, payloadSize: payload.size });
    const { payload: bytes } = row;
    const whole = bytes instanceof Uint8Array ? bytes : NOTHING;
    return { lease: { seq, token }, task, payload: payload.blob === undefined ? whole : undefined };
  }

  /** Brings leases into the database, where somebody looks at what is there. */
  #writeLeases(functionName?: string): void {
    for (const seq of this.#unwritten.seqs(functionName)) this.#writeLease(seq);
  }

  #writeLease(seq: number): void {
    const lease = this.#unwritten.get(seq);
    if (lease === undefined) return;
    this.#sql(
      `UPDATE tasks SET phase = ${LEASED}, status = 'Dequeued', token = ?, events = ? WHERE seq = ?`,
    ).run(lease.token, leasedEvents(lease), seq);
    this.#unwritten.remove(seq);
  }

  #deadRow(functionName: string, taskId: string): Row | undefined {
    return this.#sql(
      `SELECT to_hand_on, ${TASK_COLUMNS} FROM tasks WHERE function_name = ? AND task_id = ? AND phase = ${DEAD}`,
    ).get(functionName, taskId);
  }

  /** Undefined for a lease that is over. */
  #held({ seq, token }: Lease): HeldTask | undefined {
    const lease = this.#unwritten.get(seq);
    if (lease !== undefined) {
      if (lease.token !== token) return undefined;
      const { functionName, payloadSize } = lease;
      return { functionName, payloadSize, events: leasedEvents(lease), isStopping: false };
    }
    const row = this.#sql(
      `SELECT function_name, status, events, payload_size FROM tasks
       WHERE seq = ? AND token = ? AND phase = ${LEASED}`,
    ).get(seq, token);
    if (row === undefined) return undefined;
    return {
      functionName: String(row['function_name']),
      payloadSize: Number(row['payload_size']),
      events: String(row['events']),
      isStopping: row['status'] === 'Stopping',
    };
  }

  #settleWaiting(row: Row, status: FinalStatus, error: TaskError | undefined, event: TaskEvent): void {
    this.#settleRow(row, status, error, event);
    this.#add({ waiting: -1, settled: 1, settledBytes: Number(row['payload_size']) });
  }

  #settleRow(row: Row, status: FinalStatus, error: TaskError | undefined, event: TaskEvent): void {
    this.#sql(
      'UPDATE tasks SET phase = ?, status = ?, ended_at = ?, error = coalesce(?, error), events = ? WHERE seq = ?',
    ).run(
      phaseOf(status),
      status,
      event.at,
      encodeError(error),
      withEvents(row['events'], [{ ...event, status }]),
      Number(row['seq']),
    );
  }

  /** How often the database was opened, this time included. */
  #noteOpening(): number {
    return Number(this.#sql('UPDATE openings SET count = count + 1 RETURNING count').get()?.['count']);
  }

  /** Whoever held a lease is dead, and what it ran with it. */
  #endLeases(nowMs: number): void {
    const rows = this.#sql(`SELECT ${TASK_COLUMNS} FROM tasks WHERE phase = ${LEASED}`).all();
    const at = Math.floor(nowMs);
    for (const row of rows) {
      if (row['status'] === 'Stopping') {
        this.#settleRow(row, 'Stopped', undefined, { status: 'Stopped', at, detail: '' });
        continue;
      }
      const event = { status: 'Enqueued', at, detail: 'the platform was restarted' } as const;
      this.#sql(`UPDATE tasks SET phase = ${WAITING}, status = 'Enqueued', events = ? WHERE seq = ?`).run(
        withEvents(row['events'], [event]),
        Number(row['seq']),
      );
    }
  }

  /** Settled tasks that nothing is to be done about any more, the longest settled first. */
  #oldest(phase: number, before: number, limit: number): readonly Row[] {
    return this.#sql(
      `SELECT seq, payload_size, result_size, payload_blob, result_blob FROM tasks
       WHERE phase = ? AND phase >= 2 AND ended_at < ? AND to_hand_on = 0 ORDER BY ended_at, seq LIMIT ?`,
    ).all(phase, before, Math.max(0, limit));
  }

  #isBeyond({ settledMax, settledBytesMax }: TrimBounds): boolean {
    return this.#counts.settled > settledMax || this.#counts.settledBytes > settledBytesMax;
  }

  #remove(row: Row): void {
    const seq = Number(row['seq']);
    for (const table of ['payloads', 'results', 'tasks']) {
      this.#sql(`DELETE FROM ${table} WHERE seq = ?`).run(seq);
    }
    const bytes = Number(row['payload_size']) + Number(row['result_size'] ?? 0);
    this.#add({ settled: -1, settledBytes: -bytes });
  }

  #keepBytes(table: 'payloads' | 'results', seq: number, given: GivenBytes): void {
    if (!('bytes' in given) || given.bytes.length === 0) return;
    this.#sql(`INSERT INTO ${table} (seq, bytes) VALUES (?, ?)`).run(seq, given.bytes);
  }

  #add(change: Partial<QueueCounts>): void {
    const { waiting, leased, settled, settledBytes } = this.#counts;
    this.#counts = {
      waiting: waiting + (change.waiting ?? 0),
      leased: leased + (change.leased ?? 0),
      settled: settled + (change.settled ?? 0),
      settledBytes: settledBytes + (change.settledBytes ?? 0),
    };
  }

  #count(): QueueCounts {
    const waiting = this.#sql(`SELECT count(*) AS n FROM tasks WHERE phase = ${WAITING}`).get()?.['n'];
    const leased = this.#sql(`SELECT count(*) AS n FROM tasks WHERE phase = ${LEASED}`).get()?.['n'];
    const settled = this.#sql(
      `SELECT count(*) AS n, total(payload_size + coalesce(result_size, 0)) AS bytes
       FROM tasks WHERE phase >= 2`,
    ).get();
    return {
      waiting: Number(waiting),
      leased: Number(leased),
      settled: Number(settled?.['n']),
      settledBytes: Number(settled?.['bytes']),
    };
  }

  #sql(text: string): StatementSync {
    let statement = this.#statements.get(text);
    if (statement === undefined) {
      statement = this.#database.prepare(text);
      this.#statements.set(text, statement);
    }
    return statement;
  }
}

const NOTHING = new Uint8Array(0);

/** What the holder of a lease changes of its task. */
interface HeldTask {
  readonly functionName: string;
  readonly payloadSize: number;
  readonly events: string;
  readonly isStopping: boolean;
}

/** The events that the database would have if the lease were written. */
function leasedEvents({ events, leasedAt }: UnwrittenLease): string {
  return withEvents(events, [{ status: 'Dequeued', at: leasedAt, detail: '' }]);
}

function phaseOf(status: FinalStatus): number {
  return status === 'Failed' || status === 'Expired' ? DEAD : SETTLED;
}

function sizeOf(given: GivenBytes): number {
  return 'bytes' in given ? given.bytes.length : given.size;
}

function blobOf(given: GivenBytes): string | null {
  return 'bytes' in given ? null : given.blob;
}

function encodeError(error: TaskError | undefined): string | null {
  return error === undefined ? null : JSON.stringify(error);
}
