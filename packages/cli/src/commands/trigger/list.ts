import { apiPath } from '../../api/client.ts';
import { listAll } from '../../api/pages.ts';
import type { TriggerAnswer } from '../../api/wire.ts';
import type { Command } from '../../command.ts';
import { formatTable } from '../../output/output.ts';

export const command: Command = {
  name: 'trigger list',
  summary: 'list the triggers of a function',
  arguments: [{ name: 'function', summary: "the function's name" }],
  examples: [{ run: 'thaw trigger list hello', does: 'with the addresses of its HTTP triggers' }],
  run: async ({ output, connect }, [name = '']) => {
    const path = apiPath('functions', name, 'triggers');
    const triggers = await listAll<TriggerAnswer>(await connect(), path, 'triggers');
    output.result(triggers, () => {
      if (triggers.length === 0) return [`${name} has no trigger.`];
      const rows = triggers.map((each) => [
        each.triggerName,
        each.triggerType,
        each.qualifier ?? '',
        each.httpTrigger?.urlInternet ?? '',
        each.description ?? '',
      ]);
      return formatTable(output, ['TRIGGER', 'TYPE', 'QUALIFIER', 'URL', 'DESCRIPTION'], rows);
    });
  },
};
