import { mkdir, open, readdir, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { LOG_ENCODED_BYTES_MAX } from './log-line.ts';

export interface LogSegment {
  readonly path: string;
  readonly seq: number;
  /** Bytes of whole lines. */
  readonly size: number;
}

export interface SegmentBounds {
  readonly segmentBytesMax: number;
  readonly segmentsMax: number;
}

const SEGMENT_NAME = /^(\d{1,12})\.ndjson$/;

/**
 * The segment files `<directory>/<seq>.ndjson` of one function. Only the newest is written. One call at a time may be
 * under way: the owner keeps the order.
 */
export class LogSegments {
  readonly #directory: string;
  readonly #bounds: SegmentBounds;
  #segments: LogSegment[] | undefined;

  constructor(directory: string, bounds: SegmentBounds) {
    this.#directory = directory;
    this.#bounds = bounds;
  }

  /** Oldest first. A segment in the answer may be rotated away before it is read. */
  async list(): Promise<readonly LogSegment[]> {
    return [...(await this.#load())];
  }

  /** Appends whole lines. A failed write leaves the file as it was, so that no torn line stands before later ones. */
  async append(lines: readonly Buffer[]): Promise<void> {
    let batch: Buffer[] = [];
    let bytes = 0;
    for (const line of lines) {
      const newest = (await this.#load()).at(-1);
      const used = (newest?.size ?? 0) + bytes;
      if (used > 0 && used + line.length > this.#bounds.segmentBytesMax) {
        await this.#write(batch, bytes);
        batch = [];
        bytes = 0;
        await this.#rotate();
      }
      batch.push(line);
      bytes += line.length;
    }
    await this.#write(batch, bytes);
  }

  async remove(): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
    this.#segments = undefined;
  }

  async #load(): Promise<LogSegment[]> {
    if (this.#segments !== undefined) return this.#segments;
    const names = await readdir(this.#directory).catch((error: unknown) => {
      if (isNotFound(error)) return [];
      throw error;
    });
    const found = names.filter((name) => SEGMENT_NAME.test(name));
    const seqs = found.map((name) => Number.parseInt(name, 10)).toSorted((a, b) => a - b);
    const segments: LogSegment[] = [];
    for (const seq of seqs) segments.push(await recover(this.#pathOf(seq), seq));
    this.#segments = segments;
    await this.#trim();
    return segments;
  }

  async #write(batch: readonly Buffer[], bytes: number): Promise<void> {
    if (bytes === 0) return;
    const segments = await this.#load();
    const newest = segments.at(-1) ?? (await this.#rotate());
    const handle = await open(newest.path, 'r+');
    try {
      const data = Buffer.concat(batch);
      let at = 0;
      while (at < bytes) at += (await handle.write(data, at, bytes - at, newest.size + at)).bytesWritten;
      segments[segments.length - 1] = { ...newest, size: newest.size + bytes };
    } catch (error) {
      await handle.truncate(newest.size);
      throw error;
    } finally {
      await handle.close();
    }
  }

  async #rotate(): Promise<LogSegment> {
    const segments = await this.#load();
    const seq = (segments.at(-1)?.seq ?? 0) + 1;
    await mkdir(this.#directory, { recursive: true });
    await (await open(this.#pathOf(seq), 'w', 0o600)).close();
    const segment = { path: this.#pathOf(seq), seq, size: 0 };
    segments.push(segment);
    await this.#trim();
    return segment;
  }

  async #trim(): Promise<void> {
    const segments = this.#segments ?? [];
    while (segments.length > this.#bounds.segmentsMax) {
      const oldest = segments.shift();
      if (oldest !== undefined) await rm(oldest.path, { force: true });
    }
  }

  #pathOf(seq: number): string {
    return join(this.#directory, `${String(seq).padStart(8, '0')}.ndjson`);
  }
}

/** Cuts the torn line that a killed process left at the end. */
async function recover(path: string, seq: number): Promise<LogSegment> {
  const handle = await open(path, 'r+');
  try {
    const { size } = await handle.stat();
    const whole = await endOfLastLine(handle, size);
    if (whole < size) await handle.truncate(whole);
    return { path, seq, size: whole };
  } finally {
    await handle.close();
  }
}

async function endOfLastLine(handle: FileHandle, size: number): Promise<number> {
  let end = size;
  while (end > 0) {
    const start = Math.max(0, end - LOG_ENCODED_BYTES_MAX);
    const buffer = Buffer.alloc(end - start);
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, start);
    const newline = buffer.subarray(0, bytesRead).lastIndexOf(0x0a);
    if (newline >= 0) return start + newline + 1;
    end = start;
  }
  return 0;
}

function isNotFound(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
