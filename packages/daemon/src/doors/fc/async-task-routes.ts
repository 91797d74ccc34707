import { listAsyncTasksQuery } from '@thaw/protocol/fc/async-task.ts';
import { parseFc } from '@thaw/protocol/fc/parse.ts';
import { textField } from '../../base/text-field.ts';
import { functionArn } from '../../catalog/arn.ts';
import type { AsyncTask } from '../../model/async-task.ts';
import type { FcDeps } from './fc-deps.ts';
import type { FcCall, FcRoute } from './fc-route.ts';
import { queryFields } from './query.ts';
import { pageBody } from './wire.ts';

/** Payloads and results in JSON answers (FC 3.0, GetAsyncTask); larger ones are on Thaw's own API as bytes. */
const SHOWN_BYTES_MAX = 1024 * 1024;
const TASKS = '/functions/{functionName}/async-tasks';

export function asyncTaskRoutes({ catalog, asyncTasks }: FcDeps): readonly FcRoute[] {
  return [
    {
      method: 'GET',
      path: TASKS,
      handle: async ({ params, query }) => {
        const functionName = params['functionName'] ?? '';
        const wanted = parseFc(listAsyncTasksQuery, queryFields(query));
        const { tasks, next } = await asyncTasks.list({
          functionName,
          qualifier: wanted.qualifier,
          statuses: wanted.status === undefined ? undefined : [wanted.status],
          prefix: wanted.prefix,
          enqueuedFrom: wanted.startedTimeBegin,
          enqueuedTo: wanted.startedTimeEnd,
          order: wanted.sortOrderByTime,
          limit: wanted.limit,
          after: wanted.nextToken,
        });
        // Tasks outlive their function for a while, so that its dead letters can be looked at.
        if (tasks.length === 0) catalog.functions.require(functionName);
        const shown = tasks.map((task) => bodyOf(task, wanted.includePayload === 'true', false));
        return pageBody('tasks', await Promise.all(shown), next);
      },
    },
    {
      method: 'GET',
      path: `${TASKS}/{taskId}`,
      handle: async (call) => bodyOf(await requireTask(call), true, true),
    },
    {
      method: 'PUT',
      path: `${TASKS}/{taskId}/stop`,
      handle: async (call) => {
        const { functionName, taskId } = await requireTask(call);
        await asyncTasks.stopTask(functionName, taskId);
      },
    },
  ];

  async function requireTask({ params }: FcCall): Promise<AsyncTask> {
    return asyncTasks.require(params['functionName'] ?? '', params['taskId'] ?? '');
  }

  async function bodyOf(task: AsyncTask, withPayload: boolean, withResult: boolean): Promise<object> {
    const { startedAt, endedAt, error } = task;
    return {
      taskId: task.taskId,
      requestId: task.requestId,
      functionArn: functionArn(catalog.place, task.functionName, task.qualifier),
      qualifier: task.qualifier,
      status: task.status,
      startedTime: task.enqueuedAt,
      endTime: endedAt,
      durationMs: startedAt === undefined || endedAt === undefined ? undefined : endedAt - startedAt,
      alreadyRetriedTimes: Math.max(0, task.tries - Number(endedAt !== undefined && error !== undefined)),
      instanceId: task.instanceId,
      taskErrorMessage: error === undefined ? '' : `${error.errorType ?? error.code}: ${error.message}`,
      destinationStatus: task.destinationStatus,
      events: task.events.map(({ status, at, detail }, index) => ({
        eventId: index + 1,
        status,
        timestamp: at,
        eventDetail: detail,
      })),
      taskPayloadSize: task.payload.size,
      returnPayloadSize: task.result?.size,
      ...(withPayload ? await textOf(task, 'payload', 'taskPayload') : {}),
      ...(withResult ? await textOf(task, 'result', 'returnPayload') : {}),
    };
  }

  async function textOf(task: AsyncTask, which: 'payload' | 'result', field: string): Promise<object> {
    const bytes = await asyncTasks.wholeBytes(task, which, SHOWN_BYTES_MAX);
    return bytes === undefined ? {} : textField(field, bytes);
  }
}
