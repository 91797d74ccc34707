import { listObjects, type ListedObject } from '../../api/object-api.ts';
import type { Command } from '../../command.ts';
import { formatBytes, formatTime } from '../../output/format.ts';
import { formatTable } from '../../output/output.ts';

interface Options {
  readonly prefix: string;
}

export const command: Command = {
  name: 'object list',
  summary: 'list the objects of a bucket',
  arguments: [{ name: 'bucket', summary: 'its name' }],
  options: [{ flags: '--prefix <text>', summary: 'only those whose key begins so', default: '' }],
  examples: [{ run: 'thaw object list uploads --prefix image/', does: 'what is below image/' }],
  run: async ({ output, connect }, [bucket = ''], { prefix }: Options) => {
    const objects: ListedObject[] = [];
    for await (const page of listObjects(await connect(), bucket, prefix)) objects.push(...page);
    output.result(objects, () => {
      if (objects.length === 0) return [`${bucket} holds no such object.`];
      const rows = objects.map(({ key, size, lastModified }) => [
        key,
        formatBytes(size),
        formatTime(lastModified),
      ]);
      return formatTable(output, ['KEY', 'SIZE', 'CHANGED'], rows);
    });
  },
};
