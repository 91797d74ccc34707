import { nativePath } from '../../api/client.ts';
import type { Command } from '../../command.ts';
import { eachPage, requireChoice, type Done, type Failed } from './each-dead-letter.ts';

export const command: Command = {
  name: 'dead-letter redrive',
  summary: 'run dead letters again, each as a new task with all its tries',
  arguments: [
    { name: 'function', summary: 'whose', optional: true },
    { name: 'tasks...', summary: 'which of them', optional: true },
  ],
  options: [{ flags: '--all', summary: 'all of the function, or of all functions' }],
  examples: [
    { run: 'thaw dead-letter redrive resize photo-17', does: 'one, to see whether it works now' },
    { run: 'thaw dead-letter redrive resize --all', does: 'all of one function' },
  ],
  run: async (
    { output, connect },
    [functionName, ...taskIds],
    { all = false }: { readonly all?: boolean },
  ) => {
    requireChoice({ functionName, taskIds, all });
    const client = await connect();
    const redriven: Done[] = [];
    const failed: Failed[] = [];
    if (all) {
      const answer = await eachPage(client, 'redrive', functionName);
      redriven.push(...answer.done);
      failed.push(...answer.failed);
    }
    for (const taskId of taskIds) {
      const path = nativePath('dead-letters', functionName ?? '', taskId, 'redrive');
      const answer = await client.json<{ readonly newTaskId: string }>({ method: 'POST', path });
      redriven.push({ functionName: functionName ?? '', taskId, ...answer });
    }
    output.result({ redriven, failed }, () => [
      ...redriven.map((each) => `${each.functionName} ${each.taskId} runs again as ${each.newTaskId ?? ''}`),
      ...failed.map((each) => `${each.functionName} ${each.taskId} does not: ${each.message}`),
      `${redriven.length} run again${failed.length === 0 ? '' : `, ${failed.length} do not`}`,
    ]);
    return failed.length === 0 ? 0 : 1;
  },
};
