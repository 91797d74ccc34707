import { nativePath } from '../../api/client.ts';
import type { InvocationAnswer } from '../../api/wire.ts';
import type { Command } from '../../command.ts';
import { parseCount } from '../../option-values.ts';
import { formatMs, formatTime } from '../../output/format.ts';
import { formatTable } from '../../output/output.ts';

interface Options {
  readonly function?: string;
  readonly limit: number;
  readonly before?: string;
}

interface Answer {
  readonly invocations: readonly InvocationAnswer[];
  readonly nextToken?: string;
}

export const command: Command = {
  name: 'invocation list',
  summary: 'list what ran, newest first',
  options: [
    { flags: '--function <name>', summary: 'only of this function' },
    { flags: '--limit <count>', summary: 'how many', default: 20, parse: parseCount },
    { flags: '--before <token>', summary: 'go on where an earlier list ended' },
  ],
  examples: [
    { run: 'thaw invocation list --function hello', does: 'the latest 20 of hello' },
    { run: 'thaw invocation list --limit 100 --json', does: 'the latest 100 of all, as JSON' },
  ],
  run: async ({ output, connect }, _args, { function: functionName, limit, before }: Options) => {
    const client = await connect();
    const answer = await client.json<Answer>({
      method: 'GET',
      path: nativePath('invocations'),
      query: { functionName, limit, before },
    });
    output.result(answer, () => {
      if (answer.invocations.length === 0) return ['Nothing ran yet.'];
      const rows = answer.invocations.map((each) => [
        formatTime(each.startedAt),
        each.functionName,
        each.versionId ?? '',
        each.kind ?? '',
        each.status ?? '',
        each.errorCode ?? each.errorType ?? '',
        each.coldStart === true ? 'cold' : '',
        each.timeline?.lastByte === undefined ? '' : formatMs(each.timeline.lastByte),
        each.requestId,
      ]);
      const header = [
        'STARTED',
        'FUNCTION',
        'VERSION',
        'KIND',
        'STATUS',
        'ERROR',
        'START',
        'TIME',
        'REQUEST',
      ];
      return formatTable(output, header, rows);
    });
    if (answer.nextToken !== undefined) output.note(`More with --before ${answer.nextToken}`);
  },
};
