import { nativePath } from '../../api/client.ts';
import type { Command } from '../../command.ts';
import { ATTRIBUTE_OPTIONS, attributesJson, type AttributeOptions } from './attributes.ts';
import { describeQueue } from './describe.ts';
import type { QueueAnswer } from './queue-wire.ts';

interface Options extends AttributeOptions {
  readonly keepAll?: boolean;
}

export const command: Command = {
  name: 'queue set',
  summary: 'change a message queue',
  details: 'What is not given stays as it is.',
  arguments: [{ name: 'queue', summary: 'its name' }],
  options: [...ATTRIBUTE_OPTIONS, { flags: '--keep-all', summary: 'no dead-letter queue any more' }],
  examples: [{ run: 'thaw queue set jobs --visibility 2m', does: 'for functions that take their time' }],
  run: async ({ output, connect }, [queueName = ''], { keepAll, ...options }: Options) => {
    const client = await connect();
    const none = keepAll === true ? { maxReceives: 0, deadLetterQueue: '' } : {};
    const json = { ...attributesJson(options), ...none };
    const queue = await client.json<QueueAnswer>({
      method: 'PUT',
      path: nativePath('queues', queueName),
      json,
    });
    output.result(queue, () => describeQueue(output, queue));
  },
};
