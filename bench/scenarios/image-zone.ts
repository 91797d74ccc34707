import { simulateZone, type ZoneResult } from '@thaw/daemon/image/tiers/simulate-zone.ts';
import type { Measurement, Scenario } from '../scenario.ts';
import { median } from '../statistics.ts';

const INSTANCES_PER_NODE = 10;
/** The least and the most that starts of real images read of them. */
const SHARES = [0.13, 0.4];

export const scenario: Scenario = {
  name: 'image-zone',
  title: 'Images in a zone',
  shows:
    '100 nodes start 10 instances each, all at once, from an image that no node has. Tiers, home nodes, single flights ' +
    'and hedges are the code that runs in production, with disk segments of their own for each node; the network ' +
    'between nodes and the page cache are simulated in one process. A start reads 13 or 40 of 100 parts of the image, ' +
    'as those of real images do.',
  charts: ['bytes from the registry, against every node pulling'],

  async run(context) {
    const nodes = context.pick(100, 10);
    const results = new Map<number, ZoneResult[]>(SHARES.map((share) => [share, []]));
    for (let round = 0; round < context.rounds; round += 1) {
      for (const share of SHARES) {
        const result = await simulateZone({
          directory: await context.directory(),
          nodes,
          instancesPerNode: INSTANCES_PER_NODE,
          chunks: context.pick(500, 50),
          // Most files are small, some are large: as in real images, up to the largest chunk.
          chunkBytes: (index) => (index % 25 === 0 ? 512 * 1024 : 4096 + (index % 11) * 2048),
          touchedShare: share,
        });
        results.get(share)?.push(result);
      }
    }
    const times = ({ imageBytes, registryBytes }: ZoneResult): number => (nodes * imageBytes) / registryBytes;
    const measurements: Measurement[] = [...results].flatMap(([share, rounds]) => {
      const subject = `thaw, ${share * 100} % of the image`;
      const part = (tier: 'memory' | 'disk' | 'peers' | 'registry') => ({
        subject,
        what: `served by ${tier}`,
        unit: '%' as const,
        values: rounds.map(({ served }) => (100 * served[tier]) / total(served)),
      });
      return [
        {
          subject,
          what: 'bytes from the registry, against every node pulling',
          unit: 'x' as const,
          values: rounds.map(times),
        },
        {
          subject,
          what: 'bytes from the registry, against what was read',
          unit: 'x' as const,
          values: rounds.map(({ registryBytes, touchedBytes }) => registryBytes / touchedBytes),
        },
        ...(['memory', 'disk', 'peers', 'registry'] as const).map(part),
      ];
    });
    const all = [...results.values()].flat();
    return {
      measurements,
      verdicts: [
        {
          claim: 'bytes from the registry, against every node pulling the image',
          sense: 'at least',
          bound: context.pick(100, 10),
          value: Math.min(...[...results.values()].map((rounds) => median(rounds.map(times)))),
          unit: 'x',
        },
        {
          claim: 'served before the registry',
          sense: 'at least',
          bound: 90,
          value: Math.min(...all.map(({ served }) => 100 * (1 - served.registry / total(served)))),
          unit: '%',
        },
      ],
      notes: [],
    };
  },
};

function total(served: ZoneResult['served']): number {
  return Object.values(served).reduce((sum, bytes) => sum + bytes, 0);
}
