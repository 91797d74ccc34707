import { apiPath } from '../../api/client.ts';
import { listAll } from '../../api/pages.ts';
import type { VersionAnswer } from '../../api/wire.ts';
import type { Command } from '../../command.ts';
import { formatTime } from '../../output/format.ts';
import { formatTable } from '../../output/output.ts';

export const command: Command = {
  name: 'version list',
  summary: 'list the published versions of a function',
  arguments: [{ name: 'function', summary: 'its name' }],
  examples: [{ run: 'thaw version list hello', does: 'newest first' }],
  run: async ({ output, connect }, [name = '']) => {
    const path = apiPath('functions', name, 'versions');
    const versions = await listAll<VersionAnswer>(await connect(), path, 'versions');
    output.result(versions, () => {
      if (versions.length === 0) return [`${name} has no published version.`];
      const rows = versions.map((each) => [
        each.versionId,
        formatTime(each.createdTime),
        each.description ?? '',
      ]);
      return formatTable(output, ['VERSION', 'CREATED', 'DESCRIPTION'], rows);
    });
  },
};
