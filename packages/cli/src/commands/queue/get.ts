import { nativePath } from '../../api/client.ts';
import type { Command } from '../../command.ts';
import { describeQueue } from './describe.ts';
import type { QueueAnswer } from './queue-wire.ts';

export const command: Command = {
  name: 'queue get',
  summary: 'show one message queue',
  arguments: [{ name: 'queue', summary: 'its name' }],
  examples: [{ run: 'thaw queue get jobs', does: 'its settings and how much waits' }],
  run: async ({ output, connect }, [queueName = '']) => {
    const client = await connect();
    const queue = await client.json<QueueAnswer>({ method: 'GET', path: nativePath('queues', queueName) });
    output.result(queue, () => describeQueue(output, queue));
  },
};
