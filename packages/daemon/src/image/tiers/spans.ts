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
export const GAP_BYTES_MAX = 16 * 1024;
/** Of what is wanted, how much more may be read in gaps when there is much of it. */
const GAP_SHARE_MAX = 0.05;
/** A piece of a span: what is unpacked and given at once, while the rest is still on its way. */
export const PIECE_BYTES_MAX = 512 * 1024;
/** And of its chunks when they are unpacked: one piece is one thread's work, and its result lies in memory. */
const PIECE_PLAIN_BYTES_MAX = 4 * 1024 * 1024;
/** Neighbours share a home node, so that a request to it becomes few requests to the registry. */
const HOME_BYTES = SPAN_BYTES_MAX;

/** Spans in the order in which the first chunk of each is wanted. */
export function spansOf(
  wanted: readonly ChunkRef[],
  spanBytesMax = SPAN_BYTES_MAX,
  gapBytesMax = GAP_BYTES_MAX,
): Span[] {
  const order = new Map(wanted.map((chunk, index) => [chunk, index]));
  const sorted = inPlaces(wanted);
  const spans: { blob: string; start: number; end: number; chunks: ChunkRef[] }[] = [];
  for (const chunk of sorted) {
    const end = chunk.blobOffset + chunk.blobLength;
    const last = spans.at(-1);
    const joins =
      last !== undefined &&
      last.blob === chunk.blob &&
      chunk.blobOffset - last.end <= gapBytesMax &&
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

/**
 * The largest gap that may be read over between these: a request costs a registry more than many bytes do, but all such
 * gaps together are a small share of what is wanted.
 */
export function gapWithin(wanted: readonly ChunkRef[]): number {
  const gaps: number[] = [];
  let packed = 0;
  let last: ChunkRef | undefined;
  for (const chunk of inPlaces(wanted)) {
    packed += chunk.blobLength;
    if (last?.blob === chunk.blob) gaps.push(chunk.blobOffset - last.blobOffset - last.blobLength);
    last = chunk;
  }
  let left = packed * GAP_SHARE_MAX;
  let most = GAP_BYTES_MAX;
  const sorted = gaps.toSorted((one, other) => one - other);
  for (const [index, gap] of sorted.entries()) {
    left -= Math.max(0, gap);
    if (left < 0) break;
    // All of one length, or none.
    if (sorted[index + 1] !== gap) most = Math.max(most, gap);
  }
  return most;
}

/** The span in pieces that follow each other without a gap; no chunk is cut. */
export function piecesOf({ blob, start, chunks }: Span): Span[] {
  const pieces: { blob: string; start: number; end: number; chunks: ChunkRef[] }[] = [];
  let plain = 0;
  for (const chunk of chunks) {
    const end = chunk.blobOffset + chunk.blobLength;
    const last = pieces.at(-1);
    const hasRoom =
      last !== undefined &&
      end - last.start <= PIECE_BYTES_MAX &&
      plain + chunk.size <= PIECE_PLAIN_BYTES_MAX;
    if (last !== undefined && (chunk.blobOffset < last.end || hasRoom)) {
      last.end = Math.max(last.end, end);
      last.chunks.push(chunk);
      plain += chunk.size;
    } else {
      plain = chunk.size;
      pieces.push({ blob, start: last?.end ?? start, end, chunks: [chunk] });
    }
  }
  return pieces;
}

function inPlaces(wanted: readonly ChunkRef[]): ChunkRef[] {
  return wanted.toSorted((left, right) =>
    left.blob === right.blob ? left.blobOffset - right.blobOffset : left.blob < right.blob ? -1 : 1,
  );
}

/** What decides on a chunk's home: its blob and the part of it. */
export function homeKey({ blob, blobOffset }: ChunkRef): string {
  return `${blob}/${Math.floor(blobOffset / HOME_BYTES)}`;
}
