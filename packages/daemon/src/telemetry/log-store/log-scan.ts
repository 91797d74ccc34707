import { open } from 'node:fs/promises';
import { decodeLine, LOG_ENCODED_BYTES_MAX, requestNeedle, type LogLine } from './log-line.ts';
import type { LogSegment } from './log-segments.ts';

export interface LogFilter {
  readonly functionName: string;
  readonly requestId?: string;
  /** Lines of this time and later. */
  readonly sinceMs?: number;
}

/** At least the longest line, so that every piece read holds a line's end. */
const PIECE_BYTES = LOG_ENCODED_BYTES_MAX;
const NEWLINE = 0x0a;

export function isWanted(filter: LogFilter, line: LogLine): boolean {
  if (line.functionName !== filter.functionName) return false;
  if (filter.requestId !== undefined && line.requestId !== filter.requestId) return false;
  return filter.sinceMs === undefined || line.time >= filter.sinceMs;
}

/** Wanted lines of a segment, oldest first. */
export async function* scanForward(segment: LogSegment, filter: LogFilter): AsyncGenerator<LogLine> {
  yield* scan(segment, async function* (read) {
    let at = 0;
    while (at < segment.size) {
      const piece = await read(at, Math.min(at + PIECE_BYTES, segment.size));
      if (piece.length === 0) return;
      const end = piece.lastIndexOf(NEWLINE) + 1;
      yield* wantedLines(piece.subarray(0, end), filter);
      at += end === 0 ? piece.length : end;
    }
  });
}

/** Wanted lines of a segment, newest first. */
export async function* scanBackward(segment: LogSegment, filter: LogFilter): AsyncGenerator<LogLine> {
  yield* scan(segment, async function* (read) {
    let end = segment.size;
    while (end > 0) {
      const start = Math.max(0, end - PIECE_BYTES);
      const piece = await read(start, end);
      if (piece.length < end - start) return;
      const from = start === 0 ? 0 : piece.indexOf(NEWLINE) + 1;
      yield* [...wantedLines(piece.subarray(from), filter)].toReversed();
      // A piece that is one line's end only cannot be: then all of it is passed over.
      end = from === piece.length ? start : start + from;
    }
  });
}

type Read = (start: number, end: number) => Promise<Buffer>;

async function* scan(
  segment: LogSegment,
  walk: (read: Read) => AsyncGenerator<LogLine>,
): AsyncGenerator<LogLine> {
  if (segment.size === 0) return;
  const handle = await open(segment.path, 'r').catch((error: unknown) => {
    // Rotated away, or the function was removed, since the segments were listed.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (handle === undefined) return;
  try {
    yield* walk(async (start, end) => {
      const buffer = Buffer.allocUnsafe(end - start);
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, start);
      return buffer.subarray(0, bytesRead);
    });
  } finally {
    await handle.close();
  }
}

/** With a request id only the lines that hold it are cut out and parsed: the search runs at memory speed. */
function* wantedLines(lines: Buffer, filter: LogFilter): Generator<LogLine> {
  const needle = filter.requestId === undefined ? undefined : requestNeedle(filter.requestId);
  let at = 0;
  while (at < lines.length) {
    const hit = needle === undefined ? at : lines.indexOf(needle, at);
    if (hit < 0) return;
    const start = needle === undefined ? at : lines.lastIndexOf(NEWLINE, hit) + 1;
    const newline = lines.indexOf(NEWLINE, hit);
    const end = newline < 0 ? lines.length : newline;
    const line = decodeLine(filter.functionName, lines.subarray(start, end));
    if (line !== undefined && isWanted(filter, line)) yield line;
    at = end + 1;
  }
}
