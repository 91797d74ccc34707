import type { SQLInputValue } from 'node:sqlite';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { AsyncTask } from '../../model/async-task.ts';
import type { DeadLetterQuery, TaskQuery } from '../queue.ts';
import { TASK_COLUMNS } from './queue-row.ts';

/** The statement of one page of a list. It asks for one task more than the page has, to know whether it is the last. */
export function taskListQuery(query: TaskQuery): {
  readonly sql: string;
  readonly values: readonly SQLInputValue[];
} {
  const isAscending = query.order === 'asc';
  const conditions = ['function_name = ?'];
  const values: SQLInputValue[] = [query.functionName];
  const where = (condition: string, ...given: SQLInputValue[]): void => {
    conditions.push(condition);
    values.push(...given);
  };
  const { statuses, prefix = '', qualifier, enqueuedFrom, enqueuedTo, after } = query;
  if (qualifier !== undefined) where('qualifier = ?', qualifier);
  if (statuses !== undefined) where(`status IN (${statuses.map(() => '?').join(', ')})`, ...statuses);
  // Task ids are ASCII, so nothing that begins with the prefix lies beyond it and the highest of characters.
  if (prefix !== '') where('task_id >= ? AND task_id < ?', prefix, `${prefix}\u{10ffff}`);
  if (enqueuedFrom !== undefined) where('enqueued_at >= ?', Math.floor(enqueuedFrom));
  if (enqueuedTo !== undefined) where('enqueued_at <= ?', Math.floor(enqueuedTo));
  if (after !== undefined)
    where(`(enqueued_at, seq) ${isAscending ? '>' : '<'} (?, ?)`, ...positionOf(after));
  const order = isAscending ? 'enqueued_at, seq' : 'enqueued_at DESC, seq DESC';
  return {
    sql: `SELECT ${TASK_COLUMNS} FROM tasks WHERE ${conditions.join(' AND ')} ORDER BY ${order} LIMIT ?`,
    values: [...values, query.limit + 1],
  };
}

/** The same of dead letters, which `phase` says; by their end, the newest first. */
export function deadLettersQuery(
  phase: number,
  { functionName, taskId, after, limit }: DeadLetterQuery,
): { readonly sql: string; readonly values: readonly SQLInputValue[] } {
  const conditions = ['phase = ?', 'phase >= 2'];
  const values: SQLInputValue[] = [phase];
  const where = (condition: string, ...given: SQLInputValue[]): void => {
    conditions.push(condition);
    values.push(...given);
  };
  if (functionName !== undefined) where('function_name = ?', functionName);
  if (taskId !== undefined) where('task_id = ?', taskId);
  if (after !== undefined) where('(ended_at, seq) < (?, ?)', ...positionOf(after));
  return {
    sql: `SELECT ${TASK_COLUMNS} FROM tasks WHERE ${conditions.join(' AND ')} ORDER BY ended_at DESC, seq DESC LIMIT ?`,
    values: [...values, limit + 1],
  };
}

export function tokenOf({ enqueuedAt, seq }: AsyncTask): string {
  return `${enqueuedAt}.${seq}`;
}

function positionOf(token: string): [enqueuedAt: number, seq: number] {
  const match = /^(\d{1,15})\.(\d{1,15})$/.exec(token);
  if (match === null) throw new ThawError('INVALID_ARGUMENT', 'nextToken is not one that a list gave back');
  return [Number(match[1]), Number(match[2])];
}
