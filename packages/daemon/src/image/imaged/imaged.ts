import { existsSync, mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { systemClock } from '../../base/clock.ts';
import { LayerCopies } from '../copies/layer-copies.ts';
import { FuseServer } from '../fuse/fuse-server.ts';
import {
  COUNTER,
  newServedImage,
  newServedNode,
  touchedBlocks,
  touches,
  type ServedNode,
} from '../fuse/served-image.ts';
import { Bandwidth } from '../tiers/bandwidth.ts';
import { BlobTier } from '../tiers/blob-tier.ts';
import { FetchSlots } from '../tiers/fetch-slots.ts';
import { HttpPeers, servePeers, type PeerServer } from '../tiers/http-peers.ts';
import { PeerTier } from '../tiers/peer-tier.ts';
import { newSegmentPlaces } from '../tiers/segment-places.ts';
import { SegmentStore } from '../tiers/segment-store.ts';
import { newTierCounters, type TierCounters, type TierName } from '../tiers/tier-counters.ts';
import { GIVE_UP_MS, TierStack } from '../tiers/tier-stack.ts';
import { Unpackers } from '../tiers/unpackers.ts';
import { BLOCK_BYTES, PACK_BYTES_MAX, type IndexedPack } from '../trace/trace-pack.ts';
import { isQuick } from './convert-image.ts';
import { Converter } from './converter.ts';
import { DerivedImages, type DerivedImage } from './derived-images.ts';
import { ImageBlobs } from './image-blobs.ts';
import { ImageMounts, PROBE_NODE } from './image-mounts.ts';
import type {
  CacheUsage,
  ImagedOptions,
  ImagedResults,
  MountedNode,
  NodeMeasure,
  TakeOver,
  TierShare,
  Touches,
} from './messages.ts';
import { MountSupply, type SuppliedImage } from './mount-supply.ts';
import { mountsBelow, runMount } from './run-mount.ts';

/** A home node gives up earlier than who asks it, so that those still have time to ask elsewhere. */
const HOME_GIVE_UP_MS = 5_000;
/**
 * What the kernel reads around each page of a program that is mapped: unasked, from a loop device on a file of ours 2.5 MB,
 * which is all of a program that is read here and there. A chunk is fetched whole anyway; what goes into a pack is what is
 * read, and still less would be more requests of the kernel than what is not read is worth.
 */
const CHUNKS_AROUND_BYTES = 512 * 1024;
const BLOCKS_AROUND_BYTES = 128 * 1024;
/** A frame of a pack is waited for a third of the time that a chunk is, which is asked for then. */
const FRAME_SHARE = 3;
/** What is read so little of is here at once anyway. */
const PACK_BYTES_MIN = 1024 * 1024;

export interface ImagedDeps {
  readonly options: ImagedOptions;
  /** Of /dev/fuse; the daemon holds it too, so that the file system outlives this process. */
  readonly descriptor: number;
  readonly log: (level: 'info' | 'warning' | 'error', text: string, cause?: unknown) => void;
  /** The kernel has let go of a node. */
  readonly onDropped: (node: number) => void;
}

interface Served extends SuppliedImage {
  /** By digest of a chunk: where it occurs in the image. */
  readonly occurrences: ReadonlyMap<string, readonly number[]>;
  readonly endUse: () => void;
  nodes: number;
}

interface Mounted extends MountedNode {
  readonly served: Served;
  readonly servedNode: ServedNode;
  readonly supply: MountSupply;
  isUnmounted: boolean;
}

/** Serves the images of one machine: the FUSE file system, the tiers behind it, the mounts above it. */
export class Imaged {
  readonly #deps: ImagedDeps;
  readonly #derived: DerivedImages;
  readonly #copies: LayerCopies | undefined;
  readonly #blobs: ImageBlobs;
  readonly #disk: SegmentStore;
  readonly #local: BlobTier;
  readonly #registry: BlobTier;
  readonly #peers: PeerTier | undefined;
  readonly #stack: TierStack;
  readonly #home: TierStack | undefined;
  readonly #transport: HttpPeers | undefined;
  readonly #unpackers: Unpackers;
  readonly #converter: Converter;
  readonly #bandwidth: Bandwidth;
  readonly #fuse: FuseServer;
  readonly #mounts: ImageMounts;
  readonly #images = new Map<string, Served>();
  readonly #mounted = new Map<number, Mounted>();
  #zoneNodes: readonly string[];
  #peerServer: PeerServer | undefined;
  #nextImage = 1;

  constructor(deps: ImagedDeps) {
    this.#deps = deps;
    const { options, descriptor, log } = deps;
    const clock = systemClock;
    const places = newSegmentPlaces();
    this.#derived = new DerivedImages(options.directory);
    if (options.copies !== undefined)
      this.#copies = new LayerCopies(options.copies, options.insecureRegistries);
    this.#blobs = new ImageBlobs(this.#derived, options.insecureRegistries, this.#copies?.source);
    this.#disk = new SegmentStore({
      directory: join(options.directory, 'chunks'),
      quotaBytes: options.cacheBytesMax,
      places,
      clock,
      onPlaced: (digest, place) => this.#setPlaces(digest, place),
      onGone: (digests) => {
        for (const digest of digests) this.#setPlaces(digest, 0);
      },
      onProblem: (text, cause) => log('warning', text, cause),
    });
    this.#unpackers = new Unpackers({ collectsBuffers: options.collectsBuffers ?? true });
    const { unpack } = this.#unpackers;
    this.#local = new BlobTier((digest) => this.#blobs.local(digest), unpack);
    this.#registry = new BlobTier((digest) => this.#blobs.registry(digest), unpack);
    const local = { name: 'local', tier: this.#local, counters: this.#local.counters } as const;
    const registry = { name: 'registry', tier: this.#registry, counters: this.#registry.counters } as const;
    const { zone, giveUpMs = GIVE_UP_MS } = options;
    this.#zoneNodes = zone?.nodes ?? [];
    if (zone === undefined) {
      this.#stack = new TierStack({
        disk: this.#disk,
        tiers: [local, registry],
        slots: new FetchSlots(),
        clock,
        giveUpMs,
      });
    } else {
      this.#transport = new HttpPeers(zone.secret);
      this.#peers = new PeerTier({
        self: zone.self,
        nodes: () => this.#zoneNodes,
        transport: this.#transport,
        clock,
      });
      this.#home = new TierStack({
        disk: this.#disk,
        tiers: [local, registry],
        slots: new FetchSlots(),
        clock,
        giveUpMs: HOME_GIVE_UP_MS,
      });
      const peers = { name: 'peers', tier: this.#peers, counters: this.#peers.counters } as const;
      const home = { name: 'registry', tier: this.#home, counters: undefined } as const;
      this.#stack = new TierStack({
        disk: this.#disk,
        tiers: [local, peers, home],
        slots: new FetchSlots(),
        clock,
        giveUpMs,
      });
    }
    this.#bandwidth = new Bandwidth(options.prefetchBytesPerSecondMax, clock);
    const { directory, insecureRegistries, copies } = options;
    this.#converter = new Converter({ directory, insecureRegistries, copies }, (text) =>
      log('warning', text),
    );
    this.#mounts = new ImageMounts({
      directory: options.mountDirectory,
      descriptor,
      // Where there can be packs, what is read is looked at more closely.
      readAroundBytes: copies === undefined ? CHUNKS_AROUND_BYTES : BLOCKS_AROUND_BYTES,
      methods: options.methods,
      log,
    });
    this.#fuse = new FuseServer({
      descriptor,
      places,
      requireChunk: ({ node }, chunk) => this.#require(node).supply.chunk(chunk),
      requireFrame: ({ node }, pack, frame) => this.#require(node).supply.frame(pack, frame),
      onReleased: (node) => this.#onReleased(node),
      onProblem: (text, cause) => log('warning', text, cause),
    });
  }

  /** Begins to serve, or goes on where a process that died left off. Throws RUNTIME_UNAVAILABLE when the machine cannot. */
  async open(takeOver: TakeOver | undefined): Promise<ImagedResults['open']> {
    const { zone } = this.#deps.options;
    if (zone !== undefined && this.#home !== undefined) {
      const { hostname, port } = new URL(zone.self);
      this.#peerServer = await servePeers(
        this.#home,
        zone.secret,
        hostname.replaceAll(/[[\]]/gu, ''),
        Number(port),
      );
    }
    if (takeOver === undefined) {
      if (this.#deps.options.convertsFirst === true) this.#converter.prepare();
      this.#derived.clean();
      await this.#mounts.mountFuse();
      this.#fuse.start();
      await this.#mounts.findMethod((probe) => this.#fuse.addNode(probe));
    } else {
      this.#mounts.method = takeOver.method;
      for (const mounted of takeOver.mounted) this.#takeOver(mounted);
      this.#fuse.start();
      this.#fuse.resend();
    }
    this.#unpackers.start();
    const { method, connection = 0 } = this.#mounts;
    return { method, connection };
  }

  async mount(node: MountedNode): Promise<void> {
    if (!this.#mounted.has(node.node)) this.#add(node);
    // A process before this one may have done it already.
    if (mountsBelow(node.mountPoint).length > 0) return;
    try {
      mkdirSync(node.mountPoint, { recursive: true });
      await this.#mounts.mount(node.name, node.mountPoint);
    } catch (error) {
      this.#drop(node.node);
      throw error;
    }
  }

  /** Lazily: who still has files open goes on reading; what belongs to the node goes when the kernel lets go of it. */
  async unmount(id: number): Promise<void> {
    const mounted = this.#mounted.get(id);
    if (mounted === undefined) return;
    mounted.isUnmounted = true;
    mounted.supply.stop();
    if (mountsBelow(mounted.mountPoint).length === 0) {
      this.#drop(id);
      return;
    }
    await runMount('umount', ['-l', mounted.mountPoint]);
    if (existsSync(mounted.mountPoint)) rmdirSync(mounted.mountPoint);
  }

  convert(source: MountedNode['source']): Promise<DerivedImage> {
    return this.#converter.convert(source);
  }

  isQuick({ image }: MountedNode['source']): Promise<boolean> {
    // Quick or not, it is converted next.
    this.#converter.prepare();
    const onProblem = (text: string, error: unknown): void => this.#deps.log('warning', text, error);
    return isQuick(image, { derived: this.#derived, copies: this.#copies, onProblem });
  }

  /** Of `chunks`, absent: all, or of what a pack holds of them, whichever is less to fetch. */
  prefetch(id: number, chunks: Uint32Array | undefined, pack: IndexedPack | undefined): void {
    this.#require(id).supply.prefetch(chunks, pack);
  }

  /**
   * Makes a pack of what was read of a node so far, whatever else is read meanwhile; the bytes are read as node `as`.
   * Undefined where that is too little to gain anything, or too much. Throws what reading and leaving it do.
   */
  async pack(id: number, as: number): Promise<IndexedPack | undefined> {
    const { name, source, served, servedNode, supply } = this.#require(id);
    const blocks = touchedBlocks(servedNode);
    const bytes = blocks.length * BLOCK_BYTES;
    if (bytes < PACK_BYTES_MIN || bytes > PACK_BYTES_MAX) return undefined;
    const reader = this.#add({ node: as, name: `${name}-pack`, mountPoint: '', source });
    try {
      // Of what came in a pack the chunks never came.
      if (supply.pack !== undefined) reader.supply.usePack(supply.pack.pack);
      const { table } = served.image;
      return await this.#converter.pack({
        type: 'pack',
        digest: served.digest,
        path: this.#mounts.fileOf(reader.name),
        imageBytes: table.imageBytes,
        layout: table.layoutDigest(),
        blocks,
      });
    } finally {
      this.#drop(as);
    }
  }

  measure(id: number): NodeMeasure {
    const { servedNode, supply, served } = this.#require(id);
    const { demanded, prefetched } = supply;
    const { counters } = servedNode;
    const read = (index: number): number => Number(Atomics.load(counters, index));
    const disk = demanded.get('disk') ?? { chunks: 0, bytes: 0 };
    return {
      reads: read(COUNTER.reads),
      readBytes: read(COUNTER.readBytes),
      touchedChunks: touches(servedNode).length,
      imageChunks: served.image.table.count,
      demanded: {
        ...shares(demanded),
        disk: { chunks: disk.chunks + read(COUNTER.diskChunks), bytes: disk.bytes + read(COUNTER.diskBytes) },
      },
      prefetched: shares(prefetched),
      tiers: this.#tiers(),
      prefetchLeft: supply.prefetchLeft,
    };
  }

  touches(id: number): Touches {
    const { servedNode, served, supply } = this.#require(id);
    const { table } = served.image;
    const found = touches(servedNode);
    return {
      chunks: Uint32Array.from(found, ({ chunk }) => chunk),
      ms: Uint32Array.from(found, ({ ms }) => ms),
      sizes: Uint32Array.from(found, ({ chunk }) => table.size(chunk)),
      packedSizes: Uint32Array.from(found, ({ chunk }) => table.packedSize(chunk)),
      missed: supply.pack?.missed,
    };
  }

  usage(): CacheUsage {
    return { ...this.#disk.usage(), tiers: this.#tiers() };
  }

  clearCache(): Promise<void> {
    return this.#disk.clear();
  }

  setNodes(nodes: readonly string[]): void {
    this.#zoneNodes = nodes;
  }

  /** Everything that was mounted is taken away; who still reads gets errors from then on. */
  async close(): Promise<void> {
    for (const { supply } of this.#mounted.values()) supply.stop();
    await this.#converter.close();
    await this.#peerServer?.close();
    await this.#mounts.close();
    this.#stack.close();
    this.#home?.close();
    await this.#unpackers.close();
    await this.#fuse.ended();
    await this.#transport?.close();
    await this.#copies?.close();
    await this.#disk.close();
  }

  #add(node: MountedNode): Mounted {
    const served = this.#serve(node);
    const servedNode = newServedNode(node.node, node.name, served.image, Date.now());
    served.nodes += 1;
    const mounted: Mounted = {
      ...node,
      served,
      servedNode,
      supply: this.#supply(served, servedNode),
      isUnmounted: false,
    };
    this.#mounted.set(node.node, mounted);
    this.#fuse.addNode(servedNode);
    return mounted;
  }

  #supply(served: Served, servedNode: ServedNode): MountSupply {
    const { options, log } = this.#deps;
    return new MountSupply(served, servedNode, {
      stack: this.#stack,
      disk: this.#disk,
      blobs: this.#blobs,
      bandwidth: this.#bandwidth,
      fetchesAhead: options.prefetchBytesPerSecondMax > 0,
      frameMsMax: (options.giveUpMs ?? GIVE_UP_MS) / FRAME_SHARE,
      onPack: () => this.#fuse.tellPack(servedNode),
      log,
    });
  }

  /** One that cannot be served any more keeps nobody from the others: its readers get errors. */
  #takeOver(node: TakeOver['mounted'][number]): void {
    try {
      this.#add(node).isUnmounted = node.isUnmounted;
    } catch (error) {
      this.#deps.log('error', `the image ${node.name} cannot be served any more`, error);
    }
  }

  #serve({ source }: MountedNode): Served {
    const { digest } = source.image;
    const known = this.#images.get(digest);
    if (known !== undefined) return known;
    const loaded = this.#derived.load(digest);
    if (loaded === undefined) throw new ThawError('STORE_FAILED', `image ${digest} was not converted`);
    const image = newServedImage(this.#nextImage++, loaded.table, loaded.skeleton);
    const occurrences = new Map<string, number[]>();
    for (let chunk = 0; chunk < loaded.table.count; chunk += 1) {
      const name = loaded.table.digest(chunk);
      const place = this.#disk.placeOf(name);
      if (place !== undefined) Atomics.store(image.places, chunk, place);
      const others = occurrences.get(name);
      if (others === undefined) occurrences.set(name, [chunk]);
      else others.push(chunk);
    }
    const blobs = loaded.layers.map(({ blob }) => blob);
    const served: Served = {
      image,
      digest,
      blobs,
      occurrences,
      endUse: this.#blobs.use(source, loaded),
      order: undefined,
      nodes: 0,
    };
    this.#images.set(digest, served);
    return served;
  }

  #drop(id: number): void {
    const mounted = this.#mounted.get(id);
    if (mounted === undefined) return;
    mounted.supply.close();
    this.#mounted.delete(id);
    this.#fuse.removeNode(id);
    this.#deps.onDropped(id);
    const { served } = mounted;
    served.nodes -= 1;
    if (served.nodes > 0) return;
    this.#images.delete(served.digest);
    served.endUse();
  }

  #onReleased(id: number): void {
    if (this.#mounted.get(id)?.isUnmounted === true) this.#drop(id);
    if (id === PROBE_NODE) this.#fuse.removeNode(id);
  }

  #setPlaces(digest: string, place: number): void {
    for (const { image, occurrences } of this.#images.values())
      for (const chunk of occurrences.get(digest) ?? []) Atomics.store(image.places, chunk, place);
    for (const { supply } of this.#mounted.values()) supply.pack?.setPlace(digest, place);
  }

  #require(id: number): Mounted {
    const mounted = this.#mounted.get(id);
    if (mounted === undefined) throw new ThawError('STORE_FAILED', `no image is served as ${id}`);
    return mounted;
  }

  #tiers(): Record<TierName, TierCounters> {
    return {
      memory: newTierCounters(),
      disk: this.#disk.counters,
      peers: this.#peers?.counters ?? newTierCounters(),
      registry: this.#registry.counters,
      local: this.#local.counters,
    };
  }
}

function shares(from: ReadonlyMap<TierName, TierShare>): Partial<Record<TierName, TierShare>> {
  const found: Partial<Record<TierName, TierShare>> = {};
  for (const [tier, { chunks, bytes }] of from) found[tier] = { chunks, bytes };
  return found;
}
