import { nativePath } from '../../api/client.ts';
import type { Command } from '../../command.ts';
import { formatBytes, formatTime } from '../../output/format.ts';
import { formatTable } from '../../output/output.ts';
import type { QueueAnswer } from './queue-wire.ts';

export const command: Command = {
  name: 'queue list',
  summary: 'list the message queues',
  examples: [{ run: 'thaw queue list', does: 'with how much waits in each' }],
  run: async ({ output, connect }) => {
    const client = await connect();
    const { queues } = await client.json<{ queues: readonly QueueAnswer[] }>({
      method: 'GET',
      path: nativePath('queues'),
    });
    output.result(queues, () => {
      if (queues.length === 0) return ['There are no queues. Make one with `thaw queue create`.'];
      const rows = queues.map((each) => [
        each.queueName,
        String(each.visible),
        String(each.inFlight),
        String(each.delayed),
        formatBytes(each.bytes),
        formatTime(each.oldestTime),
        each.deadLetterQueue,
      ]);
      return formatTable(
        output,
        ['QUEUE', 'VISIBLE', 'IN FLIGHT', 'DELAYED', 'BYTES', 'OLDEST', 'DEAD LETTERS'],
        rows,
      );
    });
  },
};
