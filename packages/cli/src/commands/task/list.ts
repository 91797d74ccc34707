import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { apiPath } from '../../api/client.ts';
import type { Command } from '../../command.ts';
import { parseCount } from '../../option-values.ts';
import { formatBytes, formatMs, formatTime } from '../../output/format.ts';
import { formatTable } from '../../output/output.ts';
import type { TaskAnswer } from './task-answer.ts';

interface Options {
  readonly status?: string;
  readonly prefix?: string;
  readonly qualifier?: string;
  readonly since?: string;
  readonly until?: string;
  readonly oldestFirst?: boolean;
  readonly payload?: boolean;
  readonly limit: number;
  readonly after?: string;
}

interface Answer {
  readonly tasks: readonly TaskAnswer[];
  readonly nextToken?: string;
}

export const command: Command = {
  name: 'task list',
  summary: 'list the asynchronous invocations of a function, newest first',
  arguments: [{ name: 'function', summary: 'its name' }],
  options: [
    { flags: '--status <status>', summary: 'Enqueued, Running, Succeeded, Failed, Stopped, Expired, ...' },
    { flags: '--prefix <text>', summary: 'what their ids begin with' },
    { flags: '--qualifier <name>', summary: 'only of this version or alias' },
    { flags: '--since <time>', summary: 'accepted from then on: 2026-11-21T10:00 or 2026-11-21' },
    { flags: '--until <time>', summary: 'accepted until then' },
    { flags: '--oldest-first', summary: 'the other way round' },
    { flags: '--payload', summary: 'with their payloads, in JSON' },
    { flags: '--limit <count>', summary: 'how many, up to 100', default: 20, parse: parseCount },
    { flags: '--after <token>', summary: 'go on where an earlier list ended' },
  ],
  examples: [
    { run: 'thaw task list resize', does: 'the latest 20' },
    { run: 'thaw task list resize --status Failed --json', does: 'its dead letters, as JSON' },
  ],
  run: async ({ output, connect }, [name = ''], options: Options) => {
    const client = await connect();
    const answer = await client.json<Answer>({
      method: 'GET',
      path: apiPath('functions', name, 'async-tasks'),
      query: {
        status: options.status,
        prefix: options.prefix,
        qualifier: options.qualifier,
        startedTimeBegin: timeIn('--since', options.since),
        startedTimeEnd: timeIn('--until', options.until),
        sortOrderByTime: options.oldestFirst === true ? 'asc' : 'desc',
        includePayload: options.payload === true,
        limit: options.limit,
        nextToken: options.after,
      },
    });
    output.result(answer, () => {
      if (answer.tasks.length === 0) return [`${name} has no such task.`];
      const rows = answer.tasks.map((task) => [
        task.taskId,
        task.status,
        formatTime(task.startedTime),
        task.durationMs === undefined ? '' : formatMs(task.durationMs),
        task.alreadyRetriedTimes === 0 ? '' : String(task.alreadyRetriedTimes ?? ''),
        task.taskPayloadSize === undefined ? '' : formatBytes(task.taskPayloadSize),
        task.returnPayloadSize === undefined ? '' : formatBytes(task.returnPayloadSize),
        firstLine(task.taskErrorMessage ?? ''),
      ]);
      return formatTable(
        output,
        ['TASK', 'STATUS', 'ACCEPTED', 'TIME', 'RETRIES', 'PAYLOAD', 'RESULT', 'ERROR'],
        rows,
      );
    });
    if (answer.nextToken !== undefined) output.note(`More with --after ${answer.nextToken}`);
  },
};

const ERROR_CHARACTERS_MAX = 60;

function firstLine(text: string): string {
  const [line = ''] = text.split('\n');
  return line.length > ERROR_CHARACTERS_MAX ? `${line.slice(0, ERROR_CHARACTERS_MAX - 1)}…` : line;
}

function timeIn(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = Date.parse(text);
  if (!Number.isNaN(ms)) return ms;
  throw new ThawError('INVALID_ARGUMENT', `${option} takes a time like 2026-11-21T10:00, not '${text}'`);
}
