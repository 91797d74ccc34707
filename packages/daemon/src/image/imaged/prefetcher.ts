import type { ChunkRef } from '../chunks/chunk-ref.ts';
import type { Bandwidth } from '../tiers/bandwidth.ts';
import { spansOf } from '../tiers/spans.ts';
import type { Arrival, TierStack } from '../tiers/tier-stack.ts';

/** Spans that are fetched ahead at once. */
const SPANS_AT_ONCE = 16;
/** Neighbours are looked for among so many of the next chunks: what comes much later in a trace does not come first. */
const WINDOW_CHUNKS = 256;
const SPAN_BYTES_MAX = 1024 * 1024;

/** One list of chunks being fetched ahead. Nobody waits for it. */
export interface Prefetch {
  /** Chunks that did not come yet. */
  left(): number;
  stop(): void;
  readonly done: Promise<void>;
}

/** Fetches chunks in their order, neighbours together, within the bandwidth that is left for it. */
export function prefetch(
  stack: TierStack,
  bandwidth: Bandwidth,
  refs: readonly ChunkRef[],
  onArrived: (arrivals: readonly Arrival[]) => void,
): Prefetch {
  const spans = spansInOrder(refs);
  let left = refs.length;
  const stopping = new AbortController();
  const run = async (): Promise<void> => {
    for (let next = spans.next(); next.done !== true && !stopping.signal.aborted; next = spans.next()) {
      const { chunks, start, end } = next.value;
      await pause(bandwidth.take(end - start), stopping.signal);
      if (stopping.signal.aborted) return;
      onArrived(await stack.prefetch(chunks));
      left -= chunks.length;
    }
  };
  const done = Promise.all(Array.from({ length: SPANS_AT_ONCE }, run)).then(() => undefined);
  return { left: () => left, stop: () => stopping.abort(), done };
}

function* spansInOrder(refs: readonly ChunkRef[]): Generator<ReturnType<typeof spansOf>[number]> {
  for (let at = 0; at < refs.length; at += WINDOW_CHUNKS)
    yield* spansOf(refs.slice(at, at + WINDOW_CHUNKS), SPAN_BYTES_MAX);
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
