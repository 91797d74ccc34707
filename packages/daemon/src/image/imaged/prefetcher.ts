import type { ChunkRef } from '../chunks/chunk-ref.ts';
import type { Bandwidth } from '../tiers/bandwidth.ts';
import { spansOf, type Span } from '../tiers/spans.ts';
import type { Arrival, TierStack } from '../tiers/tier-stack.ts';
import { PrefetchWindow } from './prefetch-window.ts';

/** Neighbours are looked for among so many of the next chunks: what comes much later in a trace does not come first. */
const WINDOW_CHUNKS = 256;
/** Whoever waits for a chunk of a span waits for all of it. */
const SPAN_BYTES_MAX = 512 * 1024;

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
  const window = new PrefetchWindow();
  const stopping = new AbortController();
  const { promise: done, resolve, reject } = Promise.withResolvers<undefined>();
  let left = refs.length;
  let running = 0;
  const fetchOne = async ({ chunks, start, end }: Span): Promise<void> => {
    await pause(bandwidth.take(end - start), stopping.signal);
    if (stopping.signal.aborted) return;
    const startedMs = performance.now();
    onArrived(await stack.prefetch(chunks));
    window.arrived(performance.now() - startedMs);
    left -= chunks.length;
  };
  const fill = (): void => {
    while (running < window.size && !stopping.signal.aborted) {
      const next = spans.next();
      if (next.done === true) break;
      running += 1;
      fetchOne(next.value).then(() => {
        running -= 1;
        fill();
      }, reject);
    }
    if (running === 0) resolve(undefined);
  };
  fill();
  return { left: () => left, stop: () => stopping.abort(), done };
}

function* spansInOrder(refs: readonly ChunkRef[]): Generator<Span> {
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
