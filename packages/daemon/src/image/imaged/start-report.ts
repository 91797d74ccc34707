import type { RootFileSystem } from '../image-mounter.ts';
import type { TierName } from '../tiers/tier-counters.ts';
import type { ReplayResult } from '../trace/merge-recordings.ts';
import type { NodeMeasure, TierShare, Touches } from './messages.ts';

/** Starts that are remembered of each image. */
const REPORTS_PER_IMAGE_MAX = 32;

/** How one instance got its root file system, and what that moved. */
export interface StartReport {
  readonly versionKey: string;
  readonly image: string;
  readonly atMs: number;
  readonly mode: RootFileSystem['mode'];
  readonly reason: string;
  /** Until the directory was there. */
  readonly mountMs: number;
  readonly lazy?: LazyStart;
}

/**
 * What a start read. Chunks and bytes by tier are those of the instance's mount during its window; other instances that
 * start from the same mount at the same time are in them. Requests are those of the whole machine in that time.
 */
export interface LazyStart {
  readonly windowMs: number;
  readonly isRecorded: boolean;
  /** Reads of the kernel, which are what its page cache did not have. */
  readonly reads: number;
  readonly readBytes: number;
  /** Chunks that it was the first to read from its mount: `bytes` plain, `packedBytes` as they stand in blobs. */
  readonly touched: { readonly chunks: number; readonly bytes: number; readonly packedBytes: number };
  /** `memory`: what its trace names and others had read before it, less what the kernel asked for again. */
  readonly demanded: Readonly<Partial<Record<TierName, TierShare>>>;
  readonly prefetched: Readonly<Partial<Record<TierName, TierShare>>>;
  readonly requests: Readonly<Partial<Record<TierName, number>>>;
  /** Bytes that came over the network or from converted copies, compressed. */
  readonly wireBytes: Readonly<Partial<Record<TierName, number>>>;
  readonly replay?: ReplayResult;
}

export interface Measured {
  readonly before: NodeMeasure;
  readonly after: NodeMeasure;
  readonly windowMs: number;
  readonly isRecorded: boolean;
  /** All that was ever read from the mount; `known` were when the start began. */
  readonly touches: Touches;
  readonly known: ReadonlySet<number>;
  readonly planned: Uint32Array | undefined;
  readonly replay: ReplayResult | undefined;
}

const FETCHING_TIERS = ['disk', 'peers', 'registry', 'local'] as const;

export function startReport(measured: Measured): LazyStart {
  const { before, after, windowMs, isRecorded, replay } = measured;
  const requests: Partial<Record<TierName, number>> = {};
  const wireBytes: Partial<Record<TierName, number>> = {};
  for (const tier of FETCHING_TIERS) {
    // A server that was replaced meanwhile counts from 0 again.
    requests[tier] = Math.max(0, after.tiers[tier].requests - before.tiers[tier].requests);
    wireBytes[tier] = Math.max(0, after.tiers[tier].wireBytes - before.tiers[tier].wireBytes);
  }
  const readBytes = Math.max(0, after.readBytes - before.readBytes);
  const touched = newlyTouched(measured);
  const memory = fromMemory(measured, Math.max(0, readBytes - touched.bytes));
  return {
    windowMs: Math.round(windowMs),
    isRecorded,
    reads: Math.max(0, after.reads - before.reads),
    readBytes,
    touched,
    demanded: {
      ...(memory.chunks === 0 ? {} : { memory }),
      ...difference(after.demanded, before.demanded),
    },
    prefetched: difference(after.prefetched, before.prefetched),
    requests,
    wireBytes,
    ...(replay === undefined ? {} : { replay }),
  };
}

function newlyTouched({ touches, known }: Measured): LazyStart['touched'] {
  const touched = { chunks: 0, bytes: 0, packedBytes: 0 };
  for (const [index, chunk] of touches.chunks.entries()) {
    if (known.has(chunk)) continue;
    touched.chunks += 1;
    touched.bytes += touches.sizes[index] ?? 0;
    touched.packedBytes += touches.packedSizes[index] ?? 0;
  }
  return touched;
}

/** The kernel does not tell what it gave out of its own pages: this is what it did not ask for, of what it would have. */
function fromMemory({ touches, known, planned }: Measured, readAgain: number): TierShare {
  const named = new Set(planned);
  let [chunks, bytes] = [0, 0];
  for (const [index, chunk] of touches.chunks.entries()) {
    if (!known.has(chunk) || !named.has(chunk)) continue;
    chunks += 1;
    bytes += touches.sizes[index] ?? 0;
  }
  return { chunks, bytes: Math.max(0, bytes - readAgain) };
}

/** The last starts of each image. */
export class StartReports {
  readonly #byImage = new Map<string, StartReport[]>();
  #memory: TierShare = { chunks: 0, bytes: 0 };

  /** What all starts so far had from the kernel's pages. */
  get memory(): TierShare {
    return this.#memory;
  }

  add(report: StartReport): void {
    const { chunks = 0, bytes = 0 } = report.lazy?.demanded.memory ?? {};
    this.#memory = { chunks: this.#memory.chunks + chunks, bytes: this.#memory.bytes + bytes };
    const reports = [...(this.#byImage.get(report.image) ?? []), report].slice(-REPORTS_PER_IMAGE_MAX);
    this.#byImage.set(report.image, reports);
  }

  /** The newest last. */
  list(image: string): readonly StartReport[] {
    return this.#byImage.get(image) ?? [];
  }
}

type Shares = Readonly<Partial<Record<TierName, TierShare>>>;

function difference(after: Shares, before: Shares): Partial<Record<TierName, TierShare>> {
  const found: Partial<Record<TierName, TierShare>> = {};
  for (const tier of FETCHING_TIERS) {
    const chunks = (after[tier]?.chunks ?? 0) - (before[tier]?.chunks ?? 0);
    const bytes = (after[tier]?.bytes ?? 0) - (before[tier]?.bytes ?? 0);
    if (chunks > 0) found[tier] = { chunks, bytes };
  }
  return found;
}
