import { z } from 'zod';
import { oneOf, qualifier, text } from './fields.ts';
import { limit } from './list-query.ts';

/**
 * FC's states of an asynchronous invocation (FC 3.0, GetAsyncTask).
 *
 *   Enqueued ─▶ Dequeued ─▶ Running ─▶ Succeeded
 *                  ▲            ├────▶ Failed     its tries are used up
 *                  └─ Retrying ◀┤
 *                               └────▶ Stopping ─▶ Stopped
 *   Expired: grew too old while it waited.  Invalid: what it was for is gone.
 */
export const TASK_STATUSES = [
  'Enqueued',
  'Dequeued',
  'Running',
  'Succeeded',
  'Failed',
  'Stopping',
  'Stopped',
  'Expired',
  'Invalid',
  'Retrying',
] as const;

export type TaskStatus = (typeof TASK_STATUSES)[number];

const timeRule = 'must be a time in milliseconds since 1970';

const time = z
  .string()
  .regex(/^[0-9]{1,15}$/, { error: timeRule })
  .transform(Number);

export const listAsyncTasksQuery = z.object({
  qualifier: qualifier.optional(),
  status: oneOf(TASK_STATUSES).optional(),
  prefix: text(128).optional(),
  startedTimeBegin: time.optional(),
  startedTimeEnd: time.optional(),
  sortOrderByTime: oneOf(['asc', 'desc']).default('desc'),
  includePayload: oneOf(['true', 'false']).default('false'),
  limit,
  nextToken: text(1024).optional(),
});
