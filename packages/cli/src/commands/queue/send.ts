import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { nativePath } from '../../api/client.ts';
import type { Command } from '../../command.ts';
import { readGiven } from '../../input.ts';
import { parseDurationMs } from '../../option-values.ts';

interface Options {
  readonly data?: string;
  readonly file?: string;
  readonly delay?: number;
  readonly attribute?: readonly string[];
}

export const command: Command = {
  name: 'queue send',
  summary: 'send a message',
  details: 'When the command ends, the message is on disk.',
  arguments: [{ name: 'queue', summary: 'where to' }],
  options: [
    { flags: '-d, --data <text>', summary: 'the message' },
    { flags: '-f, --file <path>', summary: 'a file with the message; - is standard input' },
    {
      flags: '--delay <time>',
      summary: 'how long it waits before it can be received',
      parse: parseDurationMs,
    },
    { flags: '--attribute <name=value>', summary: 'may be given several times', many: true },
  ],
  examples: [{ run: `thaw queue send jobs -d '{"video":17}'`, does: 'one message' }],
  run: async ({ output, connect }, [queueName = ''], { data, file, delay, attribute = [] }: Options) => {
    const given = await readGiven('message', { data, file: data === undefined ? (file ?? '-') : file });
    const client = await connect();
    const answer = await client.json<{ readonly messageId: string }>({
      method: 'POST',
      path: nativePath('queues', queueName, 'messages'),
      json: {
        body: (given ?? Buffer.alloc(0)).toString('utf8'),
        attributes: Object.fromEntries(attribute.map(parseAttribute)),
        delaySeconds: delay === undefined ? undefined : delay / 1000,
      },
    });
    output.result(answer, () => [answer.messageId]);
  },
};

function parseAttribute(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at <= 0) throw new ThawError('INVALID_ARGUMENT', `--attribute takes NAME=VALUE, not '${text}'`);
  return [text.slice(0, at), text.slice(at + 1)];
}
