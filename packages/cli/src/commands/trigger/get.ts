import { apiPath } from '../../api/client.ts';
import type { TriggerAnswer } from '../../api/wire.ts';
import type { Command } from '../../command.ts';
import { formatTime } from '../../output/format.ts';
import { formatPairs } from '../../output/output.ts';

export const command: Command = {
  name: 'trigger get',
  summary: 'show one trigger',
  arguments: [
    { name: 'function', summary: "the function's name" },
    { name: 'trigger', summary: "the trigger's name" },
  ],
  examples: [{ run: 'thaw trigger get hello web', does: 'its settings and its address' }],
  run: async ({ output, connect }, [name = '', triggerName = '']) => {
    const client = await connect();
    const path = apiPath('functions', name, 'triggers', triggerName);
    const trigger = await client.json<TriggerAnswer>({ method: 'GET', path });
    output.result(trigger, () =>
      formatPairs(output, [
        ['trigger', trigger.triggerName],
        ['type', trigger.triggerType],
        ['qualifier', trigger.qualifier],
        ['url', trigger.httpTrigger?.urlInternet],
        ['config', trigger.triggerConfig],
        ['description', trigger.description],
        ['created', formatTime(trigger.createdTime)],
        ['modified', formatTime(trigger.lastModifiedTime)],
      ]),
    );
  },
};
