import { apiPath } from '../../api/client.ts';
import { listAll } from '../../api/pages.ts';
import type { FunctionAnswer } from '../../api/wire.ts';
import type { Command } from '../../command.ts';
import { formatBytes, formatTime } from '../../output/format.ts';
import { formatTable } from '../../output/output.ts';

interface Options {
  readonly prefix?: string;
}

export const command: Command = {
  name: 'function list',
  summary: 'list the functions',
  options: [{ flags: '--prefix <text>', summary: 'only names that start with this' }],
  examples: [
    { run: 'thaw function list', does: 'all of them' },
    { run: 'thaw function list --json | jq -r ".[].functionName"', does: 'their names' },
  ],
  run: async ({ output, connect }, _args, { prefix }: Options) => {
    const functions = await listAll<FunctionAnswer>(await connect(), apiPath('functions'), 'functions', {
      prefix,
    });
    output.result(functions, () => {
      if (functions.length === 0) return ['There are no functions. Deploy one with `thaw deploy`.'];
      const rows = functions.map((each) => [
        each.functionName,
        each.runtime ?? '',
        each.handler ?? '',
        `${each.memorySize ?? '?'} MB`,
        `${each.timeout ?? '?'} s`,
        formatBytes(each.codeSize ?? 0),
        formatTime(each.lastModifiedTime),
      ]);
      return formatTable(
        output,
        ['NAME', 'RUNTIME', 'HANDLER', 'MEMORY', 'TIMEOUT', 'CODE', 'MODIFIED'],
        rows,
      );
    });
  },
};
