import { nativePath } from '../api/client.ts';
import type { Command } from '../command.ts';
import { formatCu, formatMs } from '../output/format.ts';
import { formatTable } from '../output/output.ts';

interface Options {
  readonly from?: string;
  readonly to?: string;
  readonly instances?: boolean;
}

interface Figures {
  readonly requests: number;
  readonly billedMs: number;
  readonly cu: number;
}

interface UsageRow extends Figures {
  readonly day: string;
  readonly functionName: string;
  readonly instanceId?: string;
  readonly versionId?: string;
  readonly memoryMb?: number;
}

interface Answer {
  readonly from: string;
  readonly to: string;
  readonly usage: readonly UsageRow[];
  readonly total: Figures;
}

export const command: Command = {
  name: 'usage',
  summary: 'show what functions used, day by day',
  details:
    '1 CU is 1 GB of memory for 1 second. An instance counts from the start of the first request or hook to the end ' +
    'of the last one, overlapping ones once. Days are UTC; without --from, the last 30.',
  arguments: [{ name: 'function', summary: 'its name', optional: true }],
  options: [
    { flags: '--from <day>', summary: 'first day, like 2026-03-01' },
    { flags: '--to <day>', summary: 'last day, today by default' },
    { flags: '--instances', summary: 'one line for each instance' },
  ],
  examples: [
    { run: 'thaw usage', does: 'all functions, the last 30 days' },
    { run: 'thaw usage hello --from 2026-03-01 --to 2026-03-31', does: 'hello in March' },
    { run: 'thaw usage hello --instances --json', does: 'each instance of hello, as JSON' },
  ],
  run: async ({ output, connect }, [functionName], { from, to, instances }: Options) => {
    const client = await connect();
    const answer = await client.json<Answer>({
      method: 'GET',
      path: nativePath('usage'),
      query: { functionName, from, to, by: instances === true ? 'instance' : 'day' },
    });
    output.result(answer, () => {
      if (answer.usage.length === 0) return [`Nothing ran from ${answer.from} to ${answer.to}.`];
      const rows = answer.usage.map((row) => [
        row.day,
        row.functionName,
        row.instanceId ?? '',
        row.versionId ?? '',
        row.memoryMb === undefined ? '' : `${row.memoryMb} MB`,
        ...figuresOf(row),
      ]);
      const header = ['DAY', 'FUNCTION', 'INSTANCE', 'VERSION', 'MEMORY', 'REQUESTS', 'TIME', 'CU'];
      return formatTable(output, header, [...rows, ['total', '', '', '', '', ...figuresOf(answer.total)]]);
    });
  },
};

function figuresOf({ requests, billedMs, cu }: Figures): string[] {
  return [String(requests), formatMs(billedMs), formatCu(cu)];
}
