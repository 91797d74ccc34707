import type { ErrorCode } from '@thaw/protocol/error-code.ts';
import type { CopiesOptions } from '../copies/layer-copies.ts';
import type { TierCounters, TierName } from '../tiers/tier-counters.ts';
import type { IndexedPack } from '../trace/trace-pack.ts';
import type { DerivedImage } from './derived-images.ts';
import type { ImageSource } from './image-source.ts';

/** What the daemon and `imaged` say to each other. The daemon knows what is mounted; `imaged` may die and be replaced. */
export interface ImagedOptions {
  /** Of all images. */
  readonly directory: string;
  /** Below it stand the FUSE file system and the mounts. Short-lived. */
  readonly mountDirectory: string;
  readonly cacheBytesMax: number;
  /** 0: nothing is fetched ahead. */
  readonly prefetchBytesPerSecondMax: number;
  /** How long somebody waits for a piece of a file before his read fails; absent: `GIVE_UP_MS`. */
  readonly giveUpMs?: number | undefined;
  /** After how long without an answer this process counts as hanging; absent: `HANG_MS`. */
  readonly hangMs?: number | undefined;
  /** Ways of mounting, the first that works is taken; absent: all of them. */
  readonly methods?: readonly MountMethod[] | undefined;
  readonly insecureRegistries: readonly string[];
  readonly zone: ZoneOptions | undefined;
  readonly copies: CopiesOptions | undefined;
  /** Buffers are collected with the young (`base/buffer-garbage.ts`); absent: they are. */
  readonly collectsBuffers?: boolean | undefined;
  /** The image that it is opened for has to be converted first. */
  readonly convertsFirst?: boolean | undefined;
}

/** Nodes that fetch chunks for each other. */
export interface ZoneOptions {
  /** How the others reach this node, `http://host:port`. */
  readonly self: string;
  /** All of them, this one among them. */
  readonly nodes: readonly string[];
  /** Known to all of them and to nobody else. */
  readonly secret: string;
}

/** A file of the FUSE directory and where it is mounted. */
export interface MountedNode {
  readonly node: number;
  readonly name: string;
  readonly mountPoint: string;
  readonly source: ImageSource;
}

export type MountMethod = 'file' | 'loop';

export type ImagedCall =
  /** First of all. `known` nodes were served by a process before this one. */
  | { readonly type: 'open'; readonly options: ImagedOptions; readonly takeOver: TakeOver | undefined }
  | { readonly type: 'mount'; readonly mounted: MountedNode }
  | { readonly type: 'unmount'; readonly node: number }
  | { readonly type: 'convert'; readonly source: ImageSource }
  /** Whether conversion would be a few reads. */
  | { readonly type: 'isQuick'; readonly source: ImageSource }
  /** Fetches chunks in this order, or what the pack holds of them, without waiting for it. */
  | {
      readonly type: 'prefetch';
      readonly node: number;
      readonly chunks: Uint32Array;
      readonly pack: IndexedPack | undefined;
    }
  | { readonly type: 'prefetchAll'; readonly node: number }
  | { readonly type: 'measure'; readonly node: number }
  | { readonly type: 'touches'; readonly node: number }
  /** Packs what was read of a node so far; its bytes are read as node `as`. Nothing where it is too little or too much. */
  | { readonly type: 'pack'; readonly node: number; readonly as: number }
  | { readonly type: 'usage' }
  | { readonly type: 'clearCache' }
  | { readonly type: 'setNodes'; readonly nodes: readonly string[] }
  | { readonly type: 'ping' }
  | { readonly type: 'close' };

export interface TakeOver {
  readonly method: MountMethod;
  /** Those that were unmounted may still be in use. */
  readonly mounted: readonly (MountedNode & { readonly isUnmounted: boolean })[];
}

export interface ImagedResults {
  readonly open: { readonly method: MountMethod; readonly connection: number };
  readonly mount: undefined;
  readonly unmount: undefined;
  readonly convert: DerivedImage;
  readonly isQuick: boolean;
  readonly prefetch: undefined;
  readonly prefetchAll: undefined;
  readonly measure: NodeMeasure;
  readonly touches: Touches;
  readonly pack: IndexedPack | undefined;
  readonly usage: CacheUsage;
  readonly clearCache: undefined;
  readonly setNodes: undefined;
  readonly ping: undefined;
  readonly close: undefined;
}

/** Chunks that were read, in the order of their first reads; the others by position in it. */
export interface Touches {
  readonly chunks: Uint32Array;
  readonly ms: Uint32Array;
  /** Plain bytes, and those of the blob that hold them. */
  readonly sizes: Uint32Array;
  readonly packedSizes: Uint32Array;
  /** Chunks of which something was read that the node's pack does not hold; undefined while it has none. */
  readonly missed: ReadonlySet<number> | undefined;
}

/** What the kernel asked for a node since it was mounted, and where the answers came from. */
export interface NodeMeasure {
  readonly reads: number;
  readonly readBytes: number;
  readonly touchedChunks: number;
  readonly imageChunks: number;
  /** By tier: chunks that somebody waited for, and those that were fetched ahead. `disk` counts whole reads of threads. */
  readonly demanded: Readonly<Partial<Record<TierName, TierShare>>>;
  readonly prefetched: Readonly<Partial<Record<TierName, TierShare>>>;
  /** Requests of the whole process so far, by tier. */
  readonly tiers: Readonly<Record<TierName, TierCounters>>;
  /** Chunks of the present prefetch that did not come yet. */
  readonly prefetchLeft: number;
}

export interface TierShare {
  readonly chunks: number;
  readonly bytes: number;
}

export interface CacheUsage {
  readonly bytes: number;
  readonly chunks: number;
  readonly segments: number;
  readonly quotaBytes: number;
  readonly evictedSegments: number;
  readonly problem: string | undefined;
  readonly tiers: Readonly<Record<TierName, TierCounters>>;
}

export interface ImagedRequest {
  readonly id: number;
  readonly call: ImagedCall;
}

export type ImagedEvent =
  | { readonly type: 'result'; readonly id: number; readonly result: unknown }
  | { readonly type: 'failure'; readonly id: number; readonly code: ErrorCode; readonly message: string }
  | { readonly type: 'dropped'; readonly node: number }
  | { readonly type: 'log'; readonly level: 'info' | 'warning' | 'error'; readonly text: string };
