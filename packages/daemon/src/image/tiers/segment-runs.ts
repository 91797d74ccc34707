import { writev, writevSync } from 'node:fs';
import { promisify } from 'node:util';
import { PLACE_UNIT } from './segment-places.ts';

/** A chunk's plain bytes and where in its segment they go. */
export interface PlacedBytes {
  readonly bytes: Buffer;
  readonly offset: number;
}

const NOTHING = Buffer.alloc(PLACE_UNIT);
const writevAsync = promisify(writev);

/** Writes chunks to a segment, neighbours together. Throws what the disk does. */
export async function writeRuns(descriptor: number, chunks: readonly PlacedBytes[]): Promise<void> {
  for (const { start, parts } of runsOf(chunks)) {
    let left = parts;
    for (let at = start; left.length > 0;) {
      const { bytesWritten } = await writevAsync(descriptor, left, at);
      at += bytesWritten;
      left = behind(left, bytesWritten);
    }
  }
}

/** The same in a thread of its own, which waits for the disk. */
export function writeRunsSync(descriptor: number, chunks: readonly PlacedBytes[]): void {
  for (const { start, parts } of runsOf(chunks)) {
    let left = parts;
    for (let at = start; left.length > 0;) {
      const bytesWritten = writevSync(descriptor, left, at);
      at += bytesWritten;
      left = behind(left, bytesWritten);
    }
  }
}

/** Neighbours together, with what lies between places. Others may have reserved places between two of these. */
function runsOf(
  chunks: readonly PlacedBytes[],
): { readonly start: number; readonly parts: readonly Buffer[] }[] {
  const runs: { start: number; end: number; parts: Buffer[] }[] = [];
  for (const { bytes, offset } of chunks) {
    const last = runs.at(-1);
    if (last !== undefined && offset - last.end < PLACE_UNIT) {
      if (offset > last.end) last.parts.push(NOTHING.subarray(0, offset - last.end));
      last.parts.push(bytes);
      last.end = offset + bytes.length;
    } else {
      runs.push({ start: offset, end: offset + bytes.length, parts: [bytes] });
    }
  }
  return runs;
}

/** What is left of these when so many bytes of them are gone. */
function behind(parts: readonly Buffer[], bytes: number): Buffer[] {
  let gone = bytes;
  return parts.flatMap((part) => {
    const here = Math.min(gone, part.length);
    gone -= here;
    return here === part.length ? [] : [part.subarray(here)];
  });
}
