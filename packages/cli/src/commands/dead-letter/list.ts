import { nativePath } from '../../api/client.ts';
import type { Command } from '../../command.ts';
import { parseCount } from '../../option-values.ts';
import { formatBytes, formatTime } from '../../output/format.ts';
import { formatTable } from '../../output/output.ts';
import { errorLine, type DeadLettersAnswer } from './dead-letter-wire.ts';

interface Options {
  readonly limit: number;
  readonly after?: string;
}

const ERROR_CHARACTERS_MAX = 60;

export const command: Command = {
  name: 'dead-letter list',
  summary: 'list asynchronous invocations that failed for good or grew too old, newest first',
  arguments: [{ name: 'function', summary: 'only of this one', optional: true }],
  options: [
    { flags: '--limit <count>', summary: 'how many, up to 500', default: 20, parse: parseCount },
    { flags: '--after <token>', summary: 'go on where an earlier list ended' },
  ],
  examples: [{ run: 'thaw dead-letter list', does: 'those of all functions' }],
  run: async ({ output, connect }, [functionName], { limit, after }: Options) => {
    const client = await connect();
    const answer = await client.json<DeadLettersAnswer>({
      method: 'GET',
      path: nativePath('dead-letters'),
      query: { functionName, limit, after },
    });
    output.result(answer, () => {
      if (answer.deadLetters.length === 0) return ['There are no dead letters.'];
      const rows = answer.deadLetters.map((each) => [
        each.functionName,
        each.taskId,
        each.status,
        formatTime(each.endTime),
        String(each.tries),
        formatBytes(each.payloadSize),
        errorLine(each).split('\n')[0]?.slice(0, ERROR_CHARACTERS_MAX) ?? '',
      ]);
      return formatTable(output, ['FUNCTION', 'TASK', 'STATUS', 'ENDED', 'TRIES', 'PAYLOAD', 'ERROR'], rows);
    });
    if (answer.next !== undefined) output.note(`More with --after ${answer.next}`);
  },
};
