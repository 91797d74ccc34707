import { s3Call } from '../../api/object-api.ts';
import type { Command } from '../../command.ts';

export const command: Command = {
  name: 'bucket create',
  summary: 'make a bucket of the object store',
  arguments: [{ name: 'bucket', summary: '3 to 63 lower-case letters, digits and hyphens' }],
  examples: [
    { run: 'thaw bucket create uploads', does: 'a place for objects, and for triggers to listen to' },
  ],
  run: async ({ output, connect }, [bucket = '']) => {
    await (await connect()).send(s3Call({ method: 'PUT', bucket }));
    output.result({ bucket }, () => [`created bucket ${bucket}`]);
  },
};
