import { nativePath } from '../../api/client.ts';
import type { Command } from '../../command.ts';
import { parseCount } from '../../option-values.ts';

interface Options {
  readonly max?: number;
}

const PER_CALL_MAX = 10_000;

export const command: Command = {
  name: 'queue redrive',
  summary: 'send the messages of a dead-letter queue back to where they came from',
  arguments: [{ name: 'queue', summary: 'the dead-letter queue' }],
  options: [
    {
      flags: '--max <count>',
      summary: 'at most so many, the oldest first (default: all)',
      parse: parseCount,
    },
  ],
  examples: [{ run: 'thaw queue redrive failed --max 1', does: 'one, to see whether it works now' }],
  run: async ({ output, connect }, [queueName = ''], { max = Infinity }: Options) => {
    const client = await connect();
    const path = nativePath('queues', queueName, 'redrive');
    let moved = 0;
    while (moved < max) {
      const json = { maxMessages: Math.min(PER_CALL_MAX, max - moved) };
      const answer = await client.json<{ readonly moved: number }>({ method: 'POST', path, json });
      if (answer.moved === 0) break;
      moved += answer.moved;
    }
    output.result({ moved }, () => [`sent ${moved} messages of ${queueName} back`]);
  },
};
