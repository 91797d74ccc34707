import { s3Call } from '../../api/object-api.ts';
import type { Command } from '../../command.ts';

export const command: Command = {
  name: 'bucket delete',
  summary: 'delete an empty bucket',
  arguments: [{ name: 'bucket', summary: 'its name' }],
  examples: [{ run: 'thaw bucket delete uploads', does: 'refused while there is an object in it' }],
  run: async ({ output, connect }, [bucket = '']) => {
    await (await connect()).send(s3Call({ method: 'DELETE', bucket }));
    output.result({ deleted: bucket }, () => [`deleted bucket ${bucket}`]);
  },
};
