import { apiPath } from '../../api/client.ts';
import type { Command } from '../../command.ts';
import { formatBytes, formatMs, formatTime } from '../../output/format.ts';
import { formatPairs, formatTable, type Output } from '../../output/output.ts';
import type { TaskAnswer } from './task-answer.ts';

export const command: Command = {
  name: 'task get',
  summary: 'show an asynchronous invocation: its state, tries, payload, result and what happened to it',
  arguments: [
    { name: 'function', summary: 'its name' },
    { name: 'task', summary: 'the id that the invocation was accepted with' },
  ],
  examples: [{ run: 'thaw task get resize photo-17', does: 'everything but large payloads and results' }],
  run: async ({ output, connect }, [name = '', taskId = '']) => {
    const client = await connect();
    const task = await client.json<TaskAnswer>({
      method: 'GET',
      path: apiPath('functions', name, 'async-tasks', taskId),
    });
    output.result(task, () => describeTask(output, task));
  },
};

function describeTask(output: Output, task: TaskAnswer): string[] {
  const events = (task.events ?? []).map(({ status, timestamp, eventDetail }) => [
    formatTime(timestamp),
    status ?? '',
    eventDetail ?? '',
  ]);
  return [
    ...formatPairs(output, [
      ['task', task.taskId],
      ['request', task.requestId],
      ['qualifier', task.qualifier],
      ['status', task.status],
      ['accepted', formatTime(task.startedTime)],
      ['ended', formatTime(task.endTime)],
      ['ran', task.durationMs === undefined ? undefined : formatMs(task.durationMs)],
      ['retries', task.alreadyRetriedTimes === undefined ? undefined : String(task.alreadyRetriedTimes)],
      ['instance', task.instanceId],
      ['error', task.taskErrorMessage],
      ['destination', task.destinationStatus],
      ['payload', bytesLine(task.taskPayload, task.taskPayloadEncoding, task.taskPayloadSize)],
      ['result', bytesLine(task.returnPayload, task.returnPayloadEncoding, task.returnPayloadSize)],
    ]),
    '',
    ...formatTable(output, ['TIME', 'STATUS', 'DETAIL'], events),
  ];
}

const SHOWN_CHARACTERS_MAX = 1000;

/** Short text as it is; of anything else how much there is. */
function bytesLine(text: string | undefined, encoding: string | undefined, size: number | undefined): string {
  if (size === undefined) return '';
  const isShown = text !== undefined && encoding === undefined && text.length <= SHOWN_CHARACTERS_MAX;
  return isShown ? text : `${formatBytes(size)} (fetch it with thaw task result, or --payload)`;
}
