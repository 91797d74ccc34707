import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { deleteFunction } from '../../api/delete-function.ts';
import type { Command } from '../../command.ts';

export const command: Command = {
  name: 'function delete',
  summary: 'delete a function with its triggers, aliases and versions',
  arguments: [{ name: 'function', summary: 'its name' }],
  examples: [{ run: 'thaw function delete hello', does: 'the function hello and all that hangs on it' }],
  run: async ({ output, connect }, [functionName = '']) => {
    if (!(await deleteFunction(await connect(), functionName))) {
      throw new ThawError('FUNCTION_NOT_FOUND', `function '${functionName}' does not exist`);
    }
    output.result({ deleted: functionName }, () => [`deleted ${functionName}`]);
  },
};
