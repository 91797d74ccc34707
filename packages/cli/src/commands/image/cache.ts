import { nativePath } from '../../api/client.ts';
import type { Command } from '../../command.ts';
import { formatBytes } from '../../output/format.ts';
import { formatPairs, formatTable } from '../../output/output.ts';

interface TierAnswer {
  readonly requests: number;
  readonly chunks: number;
  readonly bytes: number;
  readonly wireBytes: number;
  readonly misses: number;
  readonly failures: number;
  readonly corrupt: number;
}

interface UsageAnswer {
  readonly bytes: number;
  readonly chunks: number;
  readonly quotaBytes: number;
  readonly evictedSegments: number;
  readonly restarts: number;
  readonly method: string;
  readonly problem?: string;
  readonly tiers: Readonly<Record<string, TierAnswer>>;
}

const TIERS = ['memory', 'disk', 'peers', 'registry', 'local'];

export const command: Command = {
  name: 'image cache',
  summary: 'show or empty the cache of image parts on this machine',
  details:
    'memory: what starts had of earlier ones. disk: segments here. peers: other nodes. registry: range requests. local: layers converted here.',
  options: [{ flags: '--clear', summary: 'empty it' }],
  examples: [{ run: 'thaw image cache', does: 'how full it is, and what came from where' }],
  run: async ({ output, connect }, _args, { clear }: { readonly clear?: boolean }) => {
    const client = await connect();
    const path = nativePath('image-cache');
    if (clear === true) {
      await client.send({ method: 'DELETE', path });
      output.result({ cleared: true }, () => ['emptied the cache of image parts']);
      return;
    }
    const { usage } = await client.json<{ usage: UsageAnswer | null }>({ method: 'GET', path });
    output.result(usage, () => {
      if (usage === null) return ['No image was mounted lazily since the platform started.'];
      const rows = TIERS.flatMap((name) => {
        const tier = usage.tiers[name];
        if (tier === undefined) return [];
        const counts = [tier.requests, tier.chunks, tier.misses, tier.failures, tier.corrupt].map(String);
        return [[name, ...counts, formatBytes(tier.bytes), formatBytes(tier.wireBytes)]];
      });
      return [
        ...formatPairs(output, [
          [
            'on disk',
            `${formatBytes(usage.bytes)} of ${formatBytes(usage.quotaBytes)}, ${usage.chunks} chunks`,
          ],
          ['evicted', `${usage.evictedSegments} segments`],
          ['mounted by', usage.method],
          ['restarts of the server', String(usage.restarts)],
          ['problem', usage.problem ?? ''],
        ]),
        '',
        ...formatTable(
          output,
          ['TIER', 'REQUESTS', 'CHUNKS', 'MISSES', 'FAILURES', 'CORRUPT', 'BYTES', 'MOVED'],
          rows,
        ),
      ];
    });
  },
};
