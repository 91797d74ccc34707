import { apiPath } from '../../api/client.ts';
import type { Command } from '../../command.ts';

export const command: Command = {
  name: 'version delete',
  summary: 'delete a published version',
  arguments: [
    { name: 'function', summary: 'its name' },
    { name: 'version', summary: 'the number of the version' },
  ],
  examples: [{ run: 'thaw version delete hello 3', does: 'version 3 of hello' }],
  run: async ({ output, connect }, [name = '', version = '']) => {
    const client = await connect();
    await client.send({ method: 'DELETE', path: apiPath('functions', name, 'versions', version) });
    output.result({ deleted: version, functionName: name }, () => [`deleted version ${version} of ${name}`]);
  },
};
