import { apiPath, nativePath } from '../../api/client.ts';
import type { DeliveryAnswer, EventTriggerAnswer, TriggerStatusAnswer } from '../../api/trigger-wire.ts';
import type { Command } from '../../command.ts';
import { formatBytes, formatMs, formatTime } from '../../output/format.ts';
import { formatPairs, formatTable, type Output } from '../../output/output.ts';

export const command: Command = {
  name: 'trigger get',
  summary: 'show one trigger, its last deliveries and its failures',
  arguments: [
    { name: 'function', summary: "the function's name" },
    { name: 'trigger', summary: "the trigger's name" },
  ],
  examples: [{ run: 'thaw trigger get hello web', does: 'its settings, its address, and how it is' }],
  run: async ({ output, connect }, [name = '', triggerName = '']) => {
    const client = await connect();
    const trigger = await client.json<EventTriggerAnswer>({
      method: 'GET',
      path: apiPath('functions', name, 'triggers', triggerName),
    });
    const status = await client.json<TriggerStatusAnswer>({
      method: 'GET',
      path: nativePath('functions', name, 'triggers', triggerName),
    });
    output.result({ ...trigger, ...status }, () => [
      ...formatPairs(output, [
        ['trigger', trigger.triggerName],
        ['type', trigger.triggerType],
        ['qualifier', trigger.qualifier],
        ['status', status.status],
        ['problem', status.problem?.message],
        ['since', formatTime(status.problem?.since)],
        ['url', trigger.httpTrigger?.urlInternet],
        ['source', trigger.sourceArn],
        ['config', trigger.triggerConfig],
        ['description', trigger.description],
        ['created', formatTime(trigger.createdTime)],
        ['modified', formatTime(trigger.lastModifiedTime)],
        ['delivered', trigger.triggerType === 'http' ? '' : String(status.delivered)],
        ['failed', trigger.triggerType === 'http' ? '' : String(status.failed)],
      ]),
      ...deliveryLines(output, 'last deliveries', status.deliveries),
      ...deliveryLines(output, 'last failures', status.failures),
    ]);
  },
};

function deliveryLines(output: Output, title: string, deliveries: readonly DeliveryAnswer[]): string[] {
  if (deliveries.length === 0) return [];
  const rows = deliveries.map((each) => [
    formatTime(each.time),
    each.outcome,
    formatBytes(each.eventBytes),
    formatMs(each.ms),
    each.taskId ?? each.requestId ?? '',
    each.errorCode === undefined ? '' : `${each.errorCode}: ${each.errorMessage ?? ''}`,
  ]);
  return [
    '',
    output.style('bold', title),
    ...formatTable(output, ['TIME', 'OUTCOME', 'EVENT', 'TOOK', 'ID', 'ERROR'], rows),
  ];
}
