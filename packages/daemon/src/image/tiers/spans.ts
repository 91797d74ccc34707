import type { ChunkRef } from '../chunks/chunk-ref.ts';

/** What is asked for at once: chunks that lie beside each other in one blob. */
export interface Span {
  readonly blob: string;
  readonly start: number;
  readonly end: number;
  readonly chunks: readonly ChunkRef[];
}

export const SPAN_BYTES_MAX = 4 * 1024 * 1024;
/** Reading over so many bytes that nobody wants costs less than another request. */
const GAP_BYTES_MAX = 16 * 1024;
/** Neighbours share a home node, so that a request to it becomes few requests to the registry. */
const HOME_BYTES = SPAN_BYTES_MAX;

/** Spans in the order in which the first chunk of each is wanted. */
export function spansOf(wanted: readonly ChunkRef[], spanBytesMax = SPAN_BYTES_MAX): Span[] {
  const order = new Map(wanted.map((chunk, index) => [chunk, index]));
  const sorted = wanted.toSorted((left, right) =>
    left.blob === right.blob ? left.blobOffset - right.blobOffset : left.blob < right.blob ? -1 : 1,
  );
  const spans: { blob: string; start: number; end: number; chunks: ChunkRef[] }[] = [];
  for (const chunk of sorted) {
    const end = chunk.blobOffset + chunk.blobLength;
    const last = spans.at(-1);
    const joins =
      last !== undefined &&
      last.blob === chunk.blob &&
      chunk.blobOffset - last.end <= GAP_BYTES_MAX &&
      Math.max(end, last.end) - last.start <= spanBytesMax;
    if (joins) {
      last.end = Math.max(end, last.end);
      last.chunks.push(chunk);
    } else {
      spans.push({ blob: chunk.blob, start: chunk.blobOffset, end, chunks: [chunk] });
    }
  }
  const first = (span: Span): number => Math.min(...span.chunks.map((chunk) => order.get(chunk) ?? 0));
  return spans
    .map((span) => ({ span, first: first(span) }))
    .toSorted((left, right) => left.first - right.first)
    .map(({ span }) => span);
}

/** What decides on a chunk's home: its blob and the part of it. */
export function homeKey({ blob, blobOffset }: ChunkRef): string {
  return `${blob}/${Math.floor(blobOffset / HOME_BYTES)}`;
}
