import { apiPath } from '../../api/client.ts';
import type { AliasAnswer } from '../../api/wire.ts';
import type { Command } from '../../command.ts';
import { formatTime } from '../../output/format.ts';
import { formatPairs } from '../../output/output.ts';
import { describeTraffic } from './describe.ts';

export const command: Command = {
  name: 'alias get',
  summary: 'show one alias',
  arguments: [
    { name: 'function', summary: "the function's name" },
    { name: 'alias', summary: "the alias's name" },
  ],
  examples: [{ run: 'thaw alias get hello prod', does: 'what prod of hello points to' }],
  run: async ({ output, connect }, [name = '', aliasName = '']) => {
    const client = await connect();
    const path = apiPath('functions', name, 'aliases', aliasName);
    const alias = await client.json<AliasAnswer>({ method: 'GET', path });
    output.result(alias, () =>
      formatPairs(output, [
        ['alias', alias.aliasName],
        ['version', alias.versionId],
        ['traffic', describeTraffic(alias)],
        ['description', alias.description],
        ['created', formatTime(alias.createdTime)],
        ['modified', formatTime(alias.lastModifiedTime)],
      ]),
    );
  },
};
