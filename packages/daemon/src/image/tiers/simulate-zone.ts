import { join } from 'node:path';
import type { PeerTransport } from './peer-tier.ts';
import { sampleBlob } from './sample-blobs.ts';
import { openSampleNode, type SampleNode } from './sample-node.ts';
import type { TierName } from './tier-counters.ts';

export interface ZoneSetting {
  readonly directory: string;
  readonly nodes: number;
  readonly instancesPerNode: number;
  /** Of the image, each a chunk. */
  readonly chunks: number;
  readonly chunkBytes: (index: number) => number;
  /** How much of the image a start reads; measured with real images it is 13 to 40 of 100. */
  readonly touchedShare: number;
}

export interface ZoneResult {
  /** Of the image, compressed. */
  readonly imageBytes: number;
  readonly touchedBytes: number;
  readonly registryBytes: number;
  readonly registryRequests: number;
  /** Plain bytes that instances asked for, by where they came from. `memory`: an instance before it read them on its node. */
  readonly served: Readonly<Record<TierName, number>>;
}

/**
 * All instances of all nodes of a zone start at once from one image that nobody has. Tiers, rings, single flights and
 * hedges are the real ones; simulated are the network between nodes (a call) and the kernel's page cache (a set for each
 * node).
 */
export async function simulateZone(setting: ZoneSetting): Promise<ZoneResult> {
  const blob = sampleBlob(setting.chunks, setting.chunkBytes);
  const touched = blob.chunks.filter(
    (_, index) => Math.floor((index + 1) * setting.touchedShare) > Math.floor(index * setting.touchedShare),
  );
  const names = Array.from({ length: setting.nodes }, (_, index) => `node-${index}`);
  const nodes = new Map<string, SampleNode>();
  const transport: PeerTransport = {
    async *fetch(peer, wanted) {
      yield* nodes.get(peer)?.home.get(wanted, { urgency: 'demand' }) ?? [];
    },
  };
  for (const self of names) {
    const directory = join(setting.directory, self);
    nodes.set(
      self,
      openSampleNode(directory, () => blob, { self, nodes: () => names, transport }),
    );
  }
  const served: Record<TierName, number> = { memory: 0, disk: 0, peers: 0, registry: 0, local: 0 };
  try {
    await Promise.all(
      [...nodes.values()].map(async ({ stack }) => {
        const inMemory = new Map<string, Promise<unknown>>();
        const readAll = async (): Promise<void> => {
          for (const ref of touched) {
            const known = inMemory.get(ref.digest);
            if (known !== undefined) {
              await known;
              served.memory += ref.size;
              continue;
            }
            const reading = stack.require(ref);
            inMemory.set(ref.digest, reading);
            served[(await reading).from] += ref.size;
          }
        };
        await Promise.all(Array.from({ length: setting.instancesPerNode }, readAll));
      }),
    );
  } finally {
    for (const node of nodes.values()) await node.close();
  }
  return {
    imageBytes: blob.bytes.length,
    touchedBytes: touched.reduce((sum, { blobLength }) => sum + blobLength, 0),
    registryBytes: blob.requestedBytes,
    registryRequests: blob.requests,
    served,
  };
}
