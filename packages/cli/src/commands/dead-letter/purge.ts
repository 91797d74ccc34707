import { nativePath } from '../../api/client.ts';
import type { Command } from '../../command.ts';
import { eachPage, requireChoice, type Failed } from './each-dead-letter.ts';

export const command: Command = {
  name: 'dead-letter purge',
  summary: 'remove dead letters',
  arguments: [
    { name: 'function', summary: 'whose', optional: true },
    { name: 'tasks...', summary: 'which of them', optional: true },
  ],
  options: [{ flags: '--all', summary: 'all of the function, or of all functions' }],
  examples: [{ run: 'thaw dead-letter purge resize --all', does: 'none of this function is left' }],
  run: async (
    { output, connect },
    [functionName, ...taskIds],
    { all = false }: { readonly all?: boolean },
  ) => {
    requireChoice({ functionName, taskIds, all });
    const client = await connect();
    let purged = taskIds.length;
    let failed: readonly Failed[] = [];
    if (all) {
      const answer = await eachPage(client, 'purge', functionName);
      purged = answer.done.length;
      ({ failed } = answer);
    }
    for (const taskId of taskIds) {
      await client.send({ method: 'DELETE', path: nativePath('dead-letters', functionName ?? '', taskId) });
    }
    output.result({ purged, failed }, () => [
      ...failed.map((each) => `${each.functionName} ${each.taskId} stays: ${each.message}`),
      `removed ${purged} dead letters`,
    ]);
    return failed.length === 0 ? 0 : 1;
  },
};
