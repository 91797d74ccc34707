import { nativePath } from '../../api/client.ts';
import type { Command } from '../../command.ts';
import { CHOICE, eachChosen, type ChoiceOptions } from './chosen-dead-letters.ts';

export const command: Command = {
  name: 'dead-letter purge',
  summary: 'remove dead letters',
  ...CHOICE,
  examples: [{ run: 'thaw dead-letter purge resize --all', does: 'none of this function is left' }],
  run: async ({ output, connect }, args, options: ChoiceOptions) => {
    const { done, failed } = await eachChosen(
      connect,
      'purge',
      args,
      options,
      async (client, functionName, taskId) => {
        await client.send({ method: 'DELETE', path: nativePath('dead-letters', functionName, taskId) });
        return { functionName, taskId };
      },
    );
    output.result({ purged: done.length, failed }, () => [
      ...failed.map((each) => `${each.functionName} ${each.taskId} stays: ${each.message}`),
      `removed ${done.length} dead letters`,
    ]);
    return failed.length === 0 ? 0 : 1;
  },
};
