import { systemClock } from '../../base/clock.ts';
import { BlobTier, type ChunkBlob } from './blob-tier.ts';
import { FetchSlots } from './fetch-slots.ts';
import { PeerTier, type PeerTransport } from './peer-tier.ts';
import { newSegmentPlaces } from './segment-places.ts';
import { SegmentStore } from './segment-store.ts';
import { TierStack } from './tier-stack.ts';

/** All tiers of one node, as `imaged` has them, without a file system above. For tests and simulations. */
export interface SampleNode {
  readonly disk: SegmentStore;
  readonly registry: BlobTier;
  readonly peers: PeerTier | undefined;
  readonly stack: TierStack;
  /** What other nodes ask. */
  readonly home: TierStack;
  close(): Promise<void>;
}

export interface SampleZone {
  readonly self: string;
  readonly nodes: () => readonly string[];
  readonly transport: PeerTransport;
  readonly hedgeMsMin?: number;
}

export function openSampleNode(
  directory: string,
  blobOf: (digest: string) => ChunkBlob | undefined,
  zone?: SampleZone,
  quotaBytes = 64 * 1024 * 1024,
  giveUpMs = 2_000,
): SampleNode {
  const clock = systemClock;
  const disk = new SegmentStore({
    directory,
    quotaBytes,
    places: newSegmentPlaces(),
    clock,
    onPlaced: () => undefined,
    onGone: () => undefined,
    onProblem: () => undefined,
  });
  const registry = new BlobTier(blobOf);
  const last = { name: 'registry', tier: registry, counters: registry.counters } as const;
  const home = new TierStack({ disk, tiers: [last], slots: new FetchSlots(), clock, giveUpMs });
  const peers = zone === undefined ? undefined : new PeerTier({ ...zone, clock });
  const tiers =
    peers === undefined
      ? [last]
      : [
          { name: 'peers', tier: peers, counters: peers.counters } as const,
          { name: 'registry', tier: home, counters: undefined } as const,
        ];
  const stack = new TierStack({ disk, tiers, slots: new FetchSlots(), clock, giveUpMs });
  const close = async (): Promise<void> => {
    stack.close();
    home.close();
    await disk.close();
  };
  return { disk, registry, peers, stack, home, close };
}
