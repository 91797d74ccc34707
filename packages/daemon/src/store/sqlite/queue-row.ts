import type { TaskStatus } from '@thaw/protocol/fc/async-task.ts';
import type { AsyncTask, DueTask, KeptBytes, TaskError, TaskEvent } from '../../model/async-task.ts';
import { TASK_STATUSES } from '@thaw/protocol/fc/async-task.ts';
import { triggerKindOf } from '../../model/trigger-kind.ts';

/** Of a task that is put off for days every step would be one: the first and the newest are kept. */
const EVENTS_FIRST = 8;
const EVENTS_MAX = 64;
/** `["Failed",1,""]`: no event is written shorter. */
const EVENT_CHARACTERS_MIN = 15;
const EMPTY = '[]';

export type Row = Readonly<Record<string, unknown>>;

/** What is read when a task is leased. */
const DUE = [
  'seq',
  'function_name',
  'task_id',
  'qualifier',
  'request_id',
  'source',
  'http',
  'enqueued_at',
  'due_at',
  'tries',
  'deferrals',
  'events',
  'payload_size',
  'payload_blob',
];

export const DUE_COLUMNS = DUE.join(', ');

export const TASK_COLUMNS = [
  ...DUE,
  'status',
  'token',
  'started_at',
  'ended_at',
  'instance_id',
  'version_id',
  'error',
  'result_size',
  'result_blob',
  'result_head',
  'destination_status',
].join(', ');

export function dueTaskOf(row: Row): DueTask {
  const task: DueTask = {
    seq: Number(row['seq']),
    functionName: String(row['function_name']),
    taskId: String(row['task_id']),
    qualifier: String(row['qualifier']),
    requestId: String(row['request_id']),
    trigger: triggerKindOf(row['source']),
    enqueuedAt: Number(row['enqueued_at']),
    tries: Number(row['tries']),
    deferrals: Number(row['deferrals']),
    payload: keptBytes(row['payload_size'], row['payload_blob']) ?? { size: 0 },
  };
  return typeof row['http'] === 'string' ? { ...task, http: row['http'] } : task;
}

export function taskOf(row: Row): AsyncTask {
  const error = taskErrorOf(row['error']);
  const result = keptBytes(row['result_size'], row['result_blob']);
  return {
    ...dueTaskOf(row),
    status: statusOf(row['status']),
    dueAt: Number(row['due_at']),
    ...(row['started_at'] === null ? {} : { startedAt: Number(row['started_at']) }),
    ...(row['ended_at'] === null ? {} : { endedAt: Number(row['ended_at']) }),
    instanceId: String(row['instance_id']),
    versionId: String(row['version_id']),
    ...(error === undefined ? {} : { error }),
    events: eventsOf(row['events']),
    ...(result === undefined ? {} : { result }),
    ...(typeof row['result_head'] === 'string' ? { resultHead: row['result_head'] } : {}),
    destinationStatus: String(row['destination_status']),
  };
}

/** Events are kept as `[status, time, detail]`. */
export function encodeEvents(events: readonly TaskEvent[]): string {
  return JSON.stringify(events.map(({ status, at, detail }) => [status, at, detail]));
}

/** The stored events with further ones behind them, bounded. */
export function withEvents(stored: unknown, added: readonly TaskEvent[]): string {
  if (typeof stored === 'string' && added.length > 0) {
    // So short a text cannot hold as many as are kept: no need to take it apart.
    const encoded = encodeEvents(added);
    if (stored.length > EMPTY.length && stored.length + encoded.length <= EVENTS_MAX * EVENT_CHARACTERS_MIN) {
      return `${stored.slice(0, -1)},${encoded.slice(1)}`;
    }
  }
  const events = [...eventsOf(stored), ...added];
  const dropped = Math.max(0, events.length - EVENTS_MAX);
  return encodeEvents(dropped === 0 ? events : events.toSpliced(EVENTS_FIRST, dropped));
}

function eventsOf(stored: unknown): TaskEvent[] {
  const events: unknown = JSON.parse(String(stored));
  if (!Array.isArray(events)) return [];
  return events.map((event: unknown) => {
    const [status, at, detail] = Array.isArray(event) ? event : [];
    return { status: statusOf(status), at: Number(at), detail: String(detail) };
  });
}

function statusOf(stored: unknown): TaskStatus {
  return TASK_STATUSES.find((status) => status === stored) ?? 'Invalid';
}

function taskErrorOf(stored: unknown): TaskError | undefined {
  if (typeof stored !== 'string') return undefined;
  const error: TaskError = JSON.parse(stored);
  return error;
}

function keptBytes(size: unknown, blob: unknown): KeptBytes | undefined {
  if (size === null) return undefined;
  return { size: Number(size), ...(typeof blob === 'string' ? { blob } : {}) };
}
