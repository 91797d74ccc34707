import { apiPath } from '../../api/client.ts';
import type { Command } from '../../command.ts';

export const command: Command = {
  name: 'alias delete',
  summary: 'delete an alias',
  arguments: [
    { name: 'function', summary: "the function's name" },
    { name: 'alias', summary: "the alias's name" },
  ],
  examples: [{ run: 'thaw alias delete hello prod', does: 'the alias only; its versions stay' }],
  run: async ({ output, connect }, [name = '', aliasName = '']) => {
    const client = await connect();
    await client.send({ method: 'DELETE', path: apiPath('functions', name, 'aliases', aliasName) });
    output.result({ deleted: aliasName, functionName: name }, () => [
      `deleted alias ${aliasName} of ${name}`,
    ]);
  },
};
