import { apiPath } from '../../api/client.ts';
import { listAll } from '../../api/pages.ts';
import type { AliasAnswer } from '../../api/wire.ts';
import type { Command } from '../../command.ts';
import { formatTime } from '../../output/format.ts';
import { formatTable } from '../../output/output.ts';
import { describeTraffic } from './describe.ts';

export const command: Command = {
  name: 'alias list',
  summary: 'list the aliases of a function',
  arguments: [{ name: 'function', summary: 'its name' }],
  examples: [{ run: 'thaw alias list hello', does: 'each with its versions and their traffic' }],
  run: async ({ output, connect }, [name = '']) => {
    const path = apiPath('functions', name, 'aliases');
    const aliases = await listAll<AliasAnswer>(await connect(), path, 'aliases');
    output.result(aliases, () => {
      if (aliases.length === 0) return [`${name} has no alias.`];
      const rows = aliases.map((each) => [
        each.aliasName,
        describeTraffic(each),
        formatTime(each.lastModifiedTime),
        each.description ?? '',
      ]);
      return formatTable(output, ['ALIAS', 'TRAFFIC', 'MODIFIED', 'DESCRIPTION'], rows);
    });
  },
};
