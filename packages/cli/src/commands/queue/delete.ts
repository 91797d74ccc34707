import { nativePath } from '../../api/client.ts';
import type { Command } from '../../command.ts';

export const command: Command = {
  name: 'queue delete',
  summary: 'delete a message queue with its messages',
  arguments: [{ name: 'queue', summary: 'its name' }],
  examples: [{ run: 'thaw queue delete jobs', does: 'and everything that waits in it' }],
  run: async ({ output, connect }, [queueName = '']) => {
    const client = await connect();
    await client.send({ method: 'DELETE', path: nativePath('queues', queueName) });
    output.result({ deleted: queueName }, () => [`deleted queue ${queueName}`]);
  },
};
