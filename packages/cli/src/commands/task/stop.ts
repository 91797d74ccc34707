import { apiPath } from '../../api/client.ts';
import type { Command } from '../../command.ts';

export const command: Command = {
  name: 'task stop',
  summary: 'stop an asynchronous invocation that waits or runs',
  details: 'One that runs is ended with its instance, as after a timeout.',
  arguments: [
    { name: 'function', summary: 'its name' },
    { name: 'task', summary: 'the id that the invocation was accepted with' },
  ],
  examples: [{ run: 'thaw task stop resize photo-17', does: 'it never runs again' }],
  run: async ({ output, connect }, [name = '', taskId = '']) => {
    const client = await connect();
    await client.send({ method: 'PUT', path: apiPath('functions', name, 'async-tasks', taskId, 'stop') });
    output.result({ taskId, stopped: true }, () => [`Stopped ${taskId}.`]);
  },
};
