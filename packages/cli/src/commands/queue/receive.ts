import { nativePath } from '../../api/client.ts';
import type { Command } from '../../command.ts';
import { parseCount, parseDurationMs } from '../../option-values.ts';
import { formatTable } from '../../output/output.ts';
import type { MessageAnswer } from './queue-wire.ts';

interface Options {
  readonly max?: number;
  readonly wait?: number;
  readonly delete?: boolean;
}

export const command: Command = {
  name: 'queue receive',
  summary: 'receive messages',
  details:
    "They are invisible to others for the queue's visibility timeout and then come again; with --delete they are " +
    'removed when they have been printed.',
  arguments: [{ name: 'queue', summary: 'where from' }],
  options: [
    { flags: '--max <count>', summary: 'at most so many (default: 1)', parse: parseCount },
    {
      flags: '--wait <time>',
      summary: 'how long to wait for one (default: not at all)',
      parse: parseDurationMs,
    },
    { flags: '--delete', summary: 'remove what was received' },
  ],
  examples: [{ run: 'thaw queue receive failed --max 10', does: 'a look at what failed' }],
  run: async ({ output, connect }, [queueName = ''], options: Options) => {
    const client = await connect();
    const { messages } = await client.json<{ messages: readonly MessageAnswer[] }>({
      method: 'POST',
      path: nativePath('queues', queueName, 'receive'),
      json: { maxMessages: options.max ?? 1, waitSeconds: Math.ceil((options.wait ?? 0) / 1000) },
    });
    output.result(messages, () => {
      if (messages.length === 0) return [`nothing to receive from ${queueName}`];
      const rows = messages.map((each) => [each.messageId, String(each.receiveCount), each.body]);
      return formatTable(output, ['MESSAGE', 'RECEIVED', 'BODY'], rows);
    });
    if (options.delete !== true || messages.length === 0) return;
    const receiptHandles = messages.map((each) => each.receiptHandle);
    const path = nativePath('queues', queueName, 'acknowledge');
    await client.send({ method: 'POST', path, json: { receiptHandles } });
  },
};
