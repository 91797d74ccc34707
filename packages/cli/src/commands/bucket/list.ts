import { listBuckets } from '../../api/object-api.ts';
import type { Command } from '../../command.ts';
import { formatTime } from '../../output/format.ts';
import { formatTable } from '../../output/output.ts';

export const command: Command = {
  name: 'bucket list',
  summary: 'list the buckets of the object store',
  examples: [{ run: 'thaw bucket list', does: 'each with the time it was made' }],
  run: async ({ output, connect }) => {
    const buckets = await listBuckets(await connect());
    output.result(buckets, () => {
      if (buckets.length === 0) return ['There are no buckets. Make one with `thaw bucket create`.'];
      const rows = buckets.map(({ name, created }) => [name, formatTime(created)]);
      return formatTable(output, ['BUCKET', 'CREATED'], rows);
    });
  },
};
