import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { ChunkRef } from '../chunks/chunk-ref.ts';
import type { ServedImage, ServedNode, ServedPack } from '../fuse/served-image.ts';
import type { Bandwidth } from '../tiers/bandwidth.ts';
import type { Urgency } from '../tiers/chunk-tier.ts';
import type { SegmentStore } from '../tiers/segment-store.ts';
import type { TierName } from '../tiers/tier-counters.ts';
import type { Arrival, TierStack } from '../tiers/tier-stack.ts';
import { decodeIndex, type IndexedPack } from '../trace/trace-pack.ts';
import type { ImageBlobs } from './image-blobs.ts';
import { OpenPack } from './open-pack.ts';
import { prefetch, type Prefetch } from './prefetcher.ts';
import { blobOrderOf, ReadAhead, type BlobOrder } from './read-ahead.ts';

export interface SuppliedImage {
  readonly image: ServedImage;
  readonly digest: string;
  readonly blobs: readonly string[];
  /** Made for the first one who reads without a trace. */
  order: BlobOrder | undefined;
}

export interface MountSupplyDeps {
  readonly stack: TierStack;
  readonly disk: SegmentStore;
  readonly blobs: ImageBlobs;
  readonly bandwidth: Bandwidth;
  readonly fetchesAhead: boolean;
  /** How long a frame of a pack is waited for before chunks are asked for instead. */
  readonly frameMsMax: number;
  /** The node has another pack now, or none. */
  readonly onPack: () => void;
  readonly log: (level: 'warning' | 'error', text: string, cause?: unknown) => void;
}

type Shares = Map<TierName, { chunks: number; bytes: number }>;

/** Brings what is read of one mount: what somebody waits for, and what a trace, its pack or a guess says that comes next. */
export class MountSupply {
  /** What somebody waited for, and what was fetched ahead. */
  readonly demanded: Shares = new Map();
  readonly prefetched: Shares = new Map();
  readonly #served: SuppliedImage;
  readonly #node: ServedNode;
  readonly #deps: MountSupplyDeps;
  /** By digest: a large one has several readers at once and is counted for the first. */
  readonly #arriving = new Map<string, Promise<Arrival>>();
  /** Where there is no trace; with the first chunk that is waited for. */
  #readAhead: ReadAhead | undefined;
  /** Frames that somebody waited for. */
  readonly #waited = new Set<string>();
  #prefetch: Prefetch | undefined;
  #pack: OpenPack | undefined;
  #isStopped = false;

  constructor(served: SuppliedImage, node: ServedNode, deps: MountSupplyDeps) {
    this.#served = served;
    this.#node = node;
    this.#deps = deps;
  }

  get pack(): OpenPack | undefined {
    return this.#pack;
  }

  /** Chunks or frames of the present prefetch that did not come yet. */
  get prefetchLeft(): number {
    return this.#prefetch?.left() ?? 0;
  }

  /** Of `chunks`, absent: all, or of what a pack holds of them, whichever is less to fetch. */
  prefetch(chunks: Uint32Array | undefined, pack: IndexedPack | undefined): void {
    const missing = this.#missing(this.#refsOf(chunks));
    const opened = this.#pack?.pack.blob === pack?.blob ? this.#pack : undefined;
    const packBytes = opened === undefined ? (pack?.size ?? 0) : packedBytes(this.#missing(opened.frames));
    const isPackLess = pack !== undefined && packBytes < packedBytes(missing);
    if (isPackLess) this.usePack(pack);
    if (isPackLess && this.#pack?.pack.blob === pack.blob) this.#replay(this.#pack, missing);
    else this.#fetchAhead(missing);
  }

  /** One that cannot be used is not: chunks do as well. */
  usePack(pack: IndexedPack): void {
    if (this.#pack?.pack.blob === pack.blob) return;
    const { blobs, disk, log } = this.#deps;
    const { image, digest } = this.#served;
    try {
      const index = decodeIndex(pack.index, image.table.layoutDigest());
      const onClose = blobs.useCopy(pack.blob, pack.size);
      this.#setPack(new OpenPack(pack, index, { placeOf: (frame) => disk.placeOf(frame), onClose }));
    } catch (error) {
      log('warning', `the pack of a trace of image ${digest} is not used`, error);
    }
  }

  /** A chunk that somebody waits for. */
  async chunk(chunk: number): Promise<Buffer> {
    this.#pack?.missed.add(chunk);
    const ref = this.#served.image.table.ref(chunk, this.#served.blobs);
    if (this.#prefetch === undefined && !this.#arriving.has(ref.digest)) this.#fetchBehind(chunk);
    return await this.#arrive(ref);
  }

  /** A frame that somebody waits for; undefined where the pack is another by now, or does not give it. */
  async frame(served: ServedPack, frame: number): Promise<Buffer | undefined> {
    const pack = this.#pack;
    const ref = pack?.frames[frame];
    if (pack?.served !== served || ref === undefined) return undefined;
    const { promise: late, resolve } = Promise.withResolvers<undefined>();
    const timer = setTimeout(resolve, this.#deps.frameMsMax, undefined);
    const bytes = await Promise.race([this.#arriveFrame(ref), pack.closed, late]);
    clearTimeout(timer);
    if (bytes === undefined)
      this.#giveUp(pack, new ThawError('REGISTRY_FAILED', `frame ${frame} could not be had`));
    return bytes;
  }

  /** Nothing more is fetched ahead; who still reads goes on. */
  stop(): void {
    this.#isStopped = true;
    this.#prefetch?.stop();
  }

  close(): void {
    this.stop();
    const pack = this.#pack;
    this.#pack = undefined;
    pack?.close();
  }

  #refsOf(chunks: Uint32Array | undefined): ChunkRef[] {
    const { image, blobs } = this.#served;
    const { table } = image;
    const indices = chunks ?? Uint32Array.from({ length: table.count }, (_, index) => index);
    return [...indices.filter((index) => index < table.count)].map((index) => table.ref(index, blobs));
  }

  /** Each once. */
  #missing(refs: readonly ChunkRef[]): ChunkRef[] {
    const missing = new Map<string, ChunkRef>();
    for (const ref of refs)
      if (!missing.has(ref.digest) && !this.#deps.disk.has(ref.digest)) missing.set(ref.digest, ref);
    return [...missing.values()];
  }

  /** `hurried`: how what somebody waits for is asked for. */
  #fetchAhead(
    refs: readonly ChunkRef[],
    hurried: Urgency = 'demand',
    onLeft: (others: readonly ChunkRef[]) => void = () => undefined,
  ): void {
    const { stack, bandwidth, log } = this.#deps;
    this.#prefetch?.stop();
    if (this.#isStopped) return;
    const own = prefetch(stack, bandwidth, refs, hurried, (arrivals, asked) => {
      for (const { ref, from } of arrivals) count(this.prefetched, from, ref.size);
      // What was not asked for any more is no failure.
      if (this.#prefetch !== own || this.#isStopped) return;
      const came = new Set(arrivals.map(({ ref }) => ref));
      onLeft(asked.filter((ref) => !came.has(ref)));
    });
    this.#prefetch = own;
    own.done.catch((error: unknown) => log('error', 'fetching chunks ahead failed', error));
  }

  /** The frames that are missing; when one cannot be had, the chunks. */
  #replay(pack: OpenPack, chunks: readonly ChunkRef[]): void {
    this.#fetchAhead(this.#missing(pack.frames), 'prefetch', (others) => {
      if (this.#pack !== pack || this.#missing(others).length === 0) return;
      this.#giveUp(pack, new ThawError('REGISTRY_FAILED', 'a part of it could not be had'));
    });
    void pack.closed.then(() => {
      if (!this.#isStopped && this.#pack === undefined) this.#fetchAhead(this.#missing(chunks));
    });
  }

  #giveUp(pack: OpenPack, cause: unknown): void {
    if (this.#pack !== pack) return;
    this.#setPack(undefined);
    this.#deps.log('warning', `the pack of a trace of ${this.#node.name} is not used any more`, cause);
  }

  #setPack(pack: OpenPack | undefined): void {
    this.#pack?.close();
    this.#pack = pack;
    this.#node.pack = pack?.served;
    this.#deps.onPack();
  }

  async #arrive(ref: ChunkRef): Promise<Buffer> {
    const running = this.#arriving.get(ref.digest);
    if (running !== undefined) return (await running).bytes;
    this.#prefetch?.hurry(ref.digest);
    const arrival = this.#deps.stack.require(ref);
    this.#arriving.set(ref.digest, arrival);
    try {
      const { from, bytes } = await arrival;
      count(this.demanded, from, bytes.length);
      return bytes;
    } finally {
      this.#arriving.delete(ref.digest);
    }
  }

  /** Undefined where it cannot be had at once: whoever waits for it has the chunks to turn to. */
  async #arriveFrame(ref: ChunkRef): Promise<Buffer | undefined> {
    const { stack, disk } = this.#deps;
    this.#prefetch?.hurry(ref.digest);
    const [arrival] = await stack.prefetch([ref]);
    if (arrival !== undefined && !this.#waited.has(ref.digest)) count(this.demanded, arrival.from, ref.size);
    this.#waited.add(ref.digest);
    return arrival?.bytes ?? (await disk.bytesOf(ref));
  }

  /** Those that lie behind a chunk come in the same request. */
  #fetchBehind(chunk: number): void {
    const { stack, bandwidth, fetchesAhead } = this.#deps;
    if (!fetchesAhead) return;
    const { table, places } = this.#served.image;
    const { touchOrder } = this.#node;
    this.#served.order ??= blobOrderOf(table);
    this.#readAhead ??= new ReadAhead({
      table,
      order: this.#served.order,
      wasRead: (each) => Atomics.load(touchOrder, each) !== 0,
      isHere: (each) => Atomics.load(places, each) !== 0,
    });
    const behind = this.#readAhead.behind(chunk);
    if (behind.length === 0) return;
    const refs = [chunk, ...behind].map((each) => table.ref(each, this.#served.blobs));
    const [own] = refs;
    bandwidth.take(packedBytes(refs));
    void stack.prefetch(refs, undefined, 'demand').then((arrivals) => {
      for (const { ref, from } of arrivals) if (ref !== own) count(this.prefetched, from, ref.size);
    });
  }
}

function packedBytes(refs: readonly ChunkRef[]): number {
  return refs.reduce((sum, { blobLength }) => sum + blobLength, 0);
}

function count(shares: Shares, tier: TierName, bytes: number): void {
  const share = shares.get(tier) ?? { chunks: 0, bytes: 0 };
  share.chunks += 1;
  share.bytes += bytes;
  shares.set(tier, share);
}
