import { nativePath } from '../../api/client.ts';
import type { Command } from '../../command.ts';

export const command: Command = {
  name: 'queue purge',
  summary: 'remove every message of a queue',
  arguments: [{ name: 'queue', summary: 'its name' }],
  examples: [{ run: 'thaw queue purge jobs', does: 'the queue stays, empty' }],
  run: async ({ output, connect }, [queueName = '']) => {
    const client = await connect();
    const path = nativePath('queues', queueName, 'purge');
    const answer = await client.json<{ readonly removed: number }>({ method: 'POST', path });
    output.result(answer, () => [`removed ${answer.removed} messages of ${queueName}`]);
  },
};
