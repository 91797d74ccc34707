import { apiPath, nativePath } from '../../api/client.ts';
import { listAll } from '../../api/pages.ts';
import type { TriggerSummaryAnswer } from '../../api/trigger-wire.ts';
import type { TriggerAnswer } from '../../api/wire.ts';
import type { Command } from '../../command.ts';
import { formatTime } from '../../output/format.ts';
import { formatTable } from '../../output/output.ts';

export const command: Command = {
  name: 'trigger list',
  summary: 'list the triggers of a function, or of all',
  arguments: [{ name: 'function', summary: "the function's name", optional: true }],
  examples: [
    { run: 'thaw trigger list hello', does: 'with the addresses of its HTTP triggers' },
    { run: 'thaw trigger list', does: 'every trigger, how it is and when it delivered last' },
  ],
  run: async ({ output, connect }, [name]) => {
    const client = await connect();
    const path = name === undefined ? nativePath('triggers') : nativePath('functions', name, 'triggers');
    const { triggers } = await client.json<{ triggers: readonly TriggerSummaryAnswer[] }>({
      method: 'GET',
      path,
    });
    const stored =
      name === undefined
        ? []
        : await listAll<TriggerAnswer>(client, apiPath('functions', name, 'triggers'), 'triggers');
    const storedByName = new Map(stored.map((each) => [each.triggerName, each]));
    const listed = triggers.map((each) => ({ ...storedByName.get(each.triggerName), ...each }));
    output.result(listed, () => {
      if (listed.length === 0)
        return [name === undefined ? 'There are no triggers.' : `${name} has no trigger.`];
      const rows = listed.map((each) => [
        name === undefined ? each.functionName : '',
        each.triggerName,
        each.triggerType,
        each.qualifier,
        each.status,
        each.triggerType === 'http'
          ? ''
          : `${each.delivered}${each.failed === 0 ? '' : ` (${each.failed} failed)`}`,
        formatTime(each.lastDelivery?.time),
        each.httpTrigger?.urlInternet ?? '',
        each.problem?.message ?? each.description ?? '',
      ]);
      const header = [
        'FUNCTION',
        'TRIGGER',
        'TYPE',
        'QUALIFIER',
        'STATUS',
        'EVENTS',
        'LAST',
        'URL',
        'DESCRIPTION',
      ];
      return formatTable(output, header, rows);
    });
  },
};
