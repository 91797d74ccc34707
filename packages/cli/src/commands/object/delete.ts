import { s3Call } from '../../api/object-api.ts';
import type { Command } from '../../command.ts';

export const command: Command = {
  name: 'object delete',
  summary: 'delete an object',
  arguments: [
    { name: 'bucket', summary: 'where it is' },
    { name: 'key', summary: 'its key' },
  ],
  examples: [{ run: 'thaw object delete uploads image/cat.jpg', does: 'done as well where there is none' }],
  run: async ({ output, connect }, [bucket = '', key = '']) => {
    await (await connect()).send(s3Call({ method: 'DELETE', bucket, key }));
    output.result({ bucket, deleted: key }, () => [`deleted ${key}`]);
  },
};
