import type { ChunkRef } from '../chunks/chunk-ref.ts';
import type { Bandwidth } from '../tiers/bandwidth.ts';
import type { Urgency } from '../tiers/chunk-tier.ts';
import { PREFETCH_SLOTS_MAX } from '../tiers/fetch-slots.ts';
import { gapWithin, spansOf } from '../tiers/spans.ts';
import type { ArrivalAhead, TierStack } from '../tiers/tier-stack.ts';
import { PrefetchWindow, WINDOW_UNIT_BYTES } from './prefetch-window.ts';

/**
 * Neighbours are looked for among the next chunks: among few at first, whose readers are there at once, then among more,
 * since a registry takes as long for a request as for many bytes. Among all of them, what is wanted last would come with
 * what is wanted first, and whoever reads in the order of the list would wait for both.
 */
const FIRST_BYTES = 2 * 1024 * 1024;
const BYTES_MAX = 24 * 1024 * 1024;
const GROWTH = 4;
/** Whoever waits for a chunk of a span waits for what comes before it. */
const FIRST_SPAN_BYTES = 512 * 1024;
const SPAN_BYTES_MAX = 4 * 1024 * 1024;
/** Among more neighbours are not looked for at once: it keeps the thread busy. */
const CHUNKS_MAX = 4096;
/** What a request is counted as at the least: the first spans are small, and would leave the line empty. */
const UNITS_MIN = 0.25;
/** Of a span that somebody has come to first: what comes at once, from the chunk that is waited for on. */
const HURRIED_BYTES_MAX = 1024 * 1024;

interface PlannedSpan {
  readonly chunks: readonly ChunkRef[];
  readonly bytes: number;
  /** Between its chunks. */
  readonly gapBytesMax: number;
}

/** One list of chunks being fetched ahead. Nobody waits for it. */
export interface Prefetch {
  /** Chunks that did not come yet. */
  left(): number;
  /** Somebody waits for this chunk: if it is among the next, it comes now, and its neighbours in the same request. */
  hurry(digest: string): void;
  stop(): void;
  readonly done: Promise<void>;
}

/**
 * Fetches chunks in their order, neighbours together, within the bandwidth that is left for it; those that are hurried as
 * `hurried` says.
 */
export function prefetch(
  stack: TierStack,
  bandwidth: Bandwidth,
  refs: readonly ChunkRef[],
  hurried: Urgency,
  onArrived: (arrivals: readonly ArrivalAhead[], asked: readonly ChunkRef[]) => void,
): Prefetch {
  const windows = windowsOf(refs);
  const window = new PrefetchWindow();
  const stopping = new AbortController();
  const { promise: done, resolve, reject } = Promise.withResolvers<undefined>();
  /** Those of the window that is being fetched, as far as they were not begun. */
  const waiting: PlannedSpan[] = [];
  let left = refs.length;
  let units = 0;
  let requests = 0;
  const run = (span: PlannedSpan, fetchIt: () => Promise<readonly ArrivalAhead[]>): void => {
    const own = unitsOf(span);
    units += own;
    requests += 1;
    const startedMs = performance.now();
    fetchIt().then((arrivals) => {
      onArrived(arrivals, span.chunks);
      window.arrived((performance.now() - startedMs) / Math.max(1, own));
      left -= span.chunks.length;
      units -= own;
      requests -= 1;
      fill();
    }, reject);
  };
  /** What has begun cannot be hurried, so that nothing begins only to wait for a slot. */
  const mayBegin = (): boolean =>
    units < window.size && requests < PREFETCH_SLOTS_MAX && !stopping.signal.aborted;
  const fill = (): void => {
    while (mayBegin()) {
      if (waiting.length === 0) waiting.push(...(windows.next().value ?? []));
      const span = waiting.shift();
      if (span === undefined) break;
      run(span, async () => {
        await pause(bandwidth.take(span.bytes), stopping.signal);
        return stopping.signal.aborted ? [] : await stack.prefetch(span.chunks, span.gapBytesMax);
      });
    }
    if (requests === 0) resolve(undefined);
  };
  const hurry = (digest: string): void => {
    if (stopping.signal.aborted) return;
    const index = waiting.findIndex(({ chunks }) => chunks.some((chunk) => chunk.digest === digest));
    const span = waiting[index];
    if (span === undefined) return;
    const { chunks, gapBytesMax } = span;
    const at = chunks.findIndex((chunk) => chunk.digest === digest);
    const first = chunks[at]?.blobOffset ?? 0;
    const isLater = ({ blobOffset, blobLength }: ChunkRef): boolean =>
      blobOffset + blobLength > first + HURRIED_BYTES_MAX;
    const later = chunks.findIndex((chunk, position) => position > at && isLater(chunk));
    const end = later < 0 ? chunks.length : later;
    const now = planned(chunks.slice(at, end), gapBytesMax);
    const others = [chunks.slice(end), chunks.slice(0, at)].filter(({ length }) => length > 0);
    waiting.splice(index, 1, ...others.map((each) => planned(each, gapBytesMax)));
    // Counted against the bandwidth, and not held up by it.
    bandwidth.take(now.bytes);
    run(now, () => stack.prefetch(now.chunks, gapBytesMax, hurried));
  };
  fill();
  return { left: () => left, hurry, stop: () => stopping.abort(), done };
}

/** What is asked for together, in the order in which it is. */
export function* windowsOf(refs: readonly ChunkRef[]): Generator<readonly PlannedSpan[]> {
  let bytesMax = FIRST_BYTES;
  let spanBytesMax = FIRST_SPAN_BYTES;
  for (let at = 0; at < refs.length;) {
    const end = endWithin(refs, at, bytesMax);
    const next = refs.slice(at, end);
    const gapBytesMax = gapWithin(next);
    yield spansOf(next, spanBytesMax, gapBytesMax).map(({ chunks }) => planned(chunks, gapBytesMax));
    at = end;
    bytesMax = Math.min(BYTES_MAX, bytesMax * GROWTH);
    spanBytesMax = Math.min(SPAN_BYTES_MAX, spanBytesMax * GROWTH);
  }
}

/** Behind the last of those from `at` on that are so many bytes together; one at the least. */
function endWithin(refs: readonly ChunkRef[], at: number, bytesMax: number): number {
  let bytes = refs[at]?.blobLength ?? 0;
  let end = at + 1;
  for (; end < Math.min(refs.length, at + CHUNKS_MAX); end += 1) {
    bytes += refs[end]?.blobLength ?? 0;
    if (bytes > bytesMax) break;
  }
  return end;
}

/** Chunks of one blob, in their places. */
function planned(chunks: readonly ChunkRef[], gapBytesMax: number): PlannedSpan {
  const [first, last] = [chunks[0], chunks.at(-1)];
  const end = last === undefined ? 0 : last.blobOffset + last.blobLength;
  return { chunks, bytes: end - (first?.blobOffset ?? end), gapBytesMax };
}

function unitsOf({ bytes }: PlannedSpan): number {
  return Math.max(UNITS_MIN, bytes / WINDOW_UNIT_BYTES);
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (ms <= 0) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end, { once: true });
  });
}
