import { nativePath } from '../../api/client.ts';
import type { Command } from '../../command.ts';
import { CHOICE, eachChosen, type ChoiceOptions } from './chosen-dead-letters.ts';

export const command: Command = {
  name: 'dead-letter redrive',
  summary: 'run dead letters again, each as a new task with all its tries',
  ...CHOICE,
  examples: [
    { run: 'thaw dead-letter redrive resize photo-17', does: 'one, to see whether it works now' },
    { run: 'thaw dead-letter redrive resize --all', does: 'all of one function' },
  ],
  run: async ({ output, connect }, args, options: ChoiceOptions) => {
    const { done, failed } = await eachChosen(
      connect,
      'redrive',
      args,
      options,
      async (client, functionName, taskId) => {
        const path = nativePath('dead-letters', functionName, taskId, 'redrive');
        const answer = await client.json<{ readonly newTaskId: string }>({ method: 'POST', path });
        return { functionName, taskId, ...answer };
      },
    );
    output.result({ redriven: done, failed }, () => [
      ...done.map((each) => `${each.functionName} ${each.taskId} runs again as ${each.newTaskId ?? ''}`),
      ...failed.map((each) => `${each.functionName} ${each.taskId} does not: ${each.message}`),
      `${done.length} run again${failed.length === 0 ? '' : `, ${failed.length} do not`}`,
    ]);
    return failed.length === 0 ? 0 : 1;
  },
};
