import { nativePath } from '../../api/client.ts';
import type { Command } from '../../command.ts';
import { ATTRIBUTE_OPTIONS, attributesJson, type AttributeOptions } from './attributes.ts';
import { describeQueue } from './describe.ts';
import type { QueueAnswer } from './queue-wire.ts';

export const command: Command = {
  name: 'queue create',
  summary: 'make a message queue',
  arguments: [{ name: 'queue', summary: 'its name' }],
  options: ATTRIBUTE_OPTIONS,
  examples: [
    { run: 'thaw queue create jobs', does: 'with what most need' },
    {
      run: 'thaw queue create jobs --dead-letter failed --max-receives 5',
      does: 'what fails five times goes to the queue `failed`',
    },
  ],
  run: async ({ output, connect }, [queueName = ''], options: AttributeOptions) => {
    const client = await connect();
    const json = { queueName, ...attributesJson(options) };
    const queue = await client.json<QueueAnswer>({ method: 'POST', path: nativePath('queues'), json });
    output.result(queue, () => describeQueue(output, queue));
  },
};
