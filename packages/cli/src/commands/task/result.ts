import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { nativePath } from '../../api/client.ts';
import type { Command } from '../../command.ts';

interface Options {
  readonly output?: string;
  readonly payload?: boolean;
}

export const command: Command = {
  name: 'task result',
  summary: 'fetch what an asynchronous invocation returned, or what it was given',
  arguments: [
    { name: 'function', summary: 'its name' },
    { name: 'task', summary: 'the id that the invocation was accepted with' },
  ],
  options: [
    { flags: '--payload', summary: 'the payload in the place of the result' },
    { flags: '-o, --output <path>', summary: 'write it here; standard output by default' },
  ],
  examples: [
    { run: 'thaw task result resize photo-17 -o small.jpg', does: 'the bytes, however many' },
    { run: 'thaw task result resize photo-17 --payload', does: 'what it was given' },
  ],
  run: async ({ output, connect }, [name = '', taskId = ''], options: Options) => {
    const client = await connect();
    const response = await client.open({
      method: 'GET',
      path: nativePath('functions', name, 'tasks', taskId, options.payload === true ? 'payload' : 'result'),
    });
    if (options.output === undefined) await pipeline(response, output.stdout, { end: false });
    else await pipeline(response, createWriteStream(options.output));
  },
};
