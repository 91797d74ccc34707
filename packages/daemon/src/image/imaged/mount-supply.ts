import { setTimeout } from 'node:timers/promises';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { ChunkRef } from '../chunks/chunk-ref.ts';
import type { ServedImage, ServedNode, ServedPack } from '../fuse/served-image.ts';
import type { Bandwidth } from '../tiers/bandwidth.ts';
import type { SegmentStore } from '../tiers/segment-store.ts';
import type { TierName } from '../tiers/tier-counters.ts';
import type { Arrival, TierStack } from '../tiers/tier-stack.ts';
import { decodeIndex, type TracePack } from '../trace/trace-pack.ts';
import type { ImageBlobs } from './image-blobs.ts';
import { OpenPack } from './open-pack.ts';
import { prefetch, type Prefetch } from './prefetcher.ts';
import { blobOrderOf, ReadAhead, type BlobOrder } from './read-ahead.ts';

/** Nothing is fetched ahead until the index of a pack is here; chunks can be named at once. */
const INDEX_MS_MAX = 3_000;

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
  #prefetch: Prefetch | undefined;
  #pack: OpenPack | undefined;
  #isStopped = false;
  #isClosed = false;

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
  prefetch(chunks: Uint32Array | undefined, pack: TracePack | undefined): void {
    const missing = this.#missing(this.#refsOf(chunks));
    const opened = this.#pack?.pack.blob === pack?.blob ? this.#pack : undefined;
    const packBytes = opened === undefined ? (pack?.size ?? 0) : packedBytes(this.#missing(opened.frames));
    if (pack === undefined || packedBytes(missing) <= packBytes) this.#fetchAhead(missing);
    else void this.#replay(pack, missing);
  }

  /** One that cannot be used is not: chunks do as well. */
  async usePack(pack: TracePack): Promise<void> {
    if (this.#pack?.pack.blob === pack.blob) return;
    const opened = await this.#open(pack);
    if (this.#isClosed) opened?.close();
    else this.#setPack(opened);
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
    try {
      return await this.#arrive(ref);
    } catch (error) {
      // Nobody waits in vain for another one.
      if (this.#pack === pack) this.#setPack(undefined);
      this.#deps.log('warning', `the pack of a trace of ${this.#node.name} is not used any more`, error);
      return undefined;
    }
  }

  /** Nothing more is fetched ahead; who still reads goes on. */
  stop(): void {
    this.#isStopped = true;
    this.#prefetch?.stop();
  }

  close(): void {
    this.#isClosed = true;
    this.stop();
    this.#pack?.close();
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

  #fetchAhead(refs: readonly ChunkRef[]): void {
    const { stack, bandwidth, log } = this.#deps;
    this.#prefetch?.stop();
    this.#prefetch = prefetch(stack, bandwidth, refs, (arrivals) => {
      for (const { ref, from } of arrivals) count(this.prefetched, from, ref.size);
    });
    this.#prefetch.done.catch((error: unknown) => log('error', 'fetching chunks ahead failed', error));
  }

  async #replay(pack: TracePack, chunks: readonly ChunkRef[]): Promise<void> {
    await this.usePack(pack);
    if (this.#isStopped) return;
    this.#fetchAhead(this.#pack === undefined ? chunks : this.#missing(this.#pack.frames));
  }

  async #open(pack: TracePack): Promise<OpenPack | undefined> {
    const { blobs, stack, disk, log } = this.#deps;
    const { image, digest } = this.#served;
    const onClose = blobs.useCopy(pack.blob, pack.size);
    const ref: ChunkRef = { ...pack.index, blob: pack.blob };
    try {
      await Promise.race([stack.prefetch([ref]), setTimeout(INDEX_MS_MAX, undefined, { ref: false })]);
      const bytes = await disk.bytesOf(ref);
      if (bytes === undefined) throw new ThawError('REGISTRY_FAILED', 'its index could not be had');
      const index = decodeIndex(bytes, image.table.layoutDigest());
      return new OpenPack(pack, index, { placeOf: (frame) => disk.placeOf(frame), onClose });
    } catch (error) {
      onClose();
      log('warning', `the pack of a trace of image ${digest} is not used`, error);
      return undefined;
    }
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
