import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../../base/clock.ts';
import { FunctionLog, type FunctionLogBounds } from './function-log.ts';
import { splitLine, type LogLine } from './log-line.ts';
import { isWanted, scanBackward, scanForward, type LogFilter } from './log-scan.ts';
import type { LogSegment } from './log-segments.ts';

/** Lines reach the disk after this long at the latest. */
const FLUSH_MS = 50;
const SEGMENT_BYTES_MAX = 8 * 1024 * 1024;
const SEGMENTS_MAX = 8;
const BUFFER_BYTES_MAX = 4 * 1024 * 1024;
const FOLLOWERS_MAX = 256;
/** A tail is kept in memory until its first line is known. */
export const TAIL_LINES_MAX = 10_000;

const FUNCTION_NAME = /^[A-Za-z0-9_-]{1,64}$/;

export interface LogStoreOptions {
  /** `<data>/logs`; one directory for each function in it. */
  readonly directory: string;
  readonly clock: Clock;
  readonly bounds?: Partial<FunctionLogBounds>;
  /** The disk refused a batch: its lines are lost, and counted in a platform line once writing works again. */
  readonly onFailure?: (error: unknown) => void;
}

export interface LogQuery extends LogFilter {
  readonly limit: number;
  /** The last `limit` lines (at most TAIL_LINES_MAX) instead of the first; still oldest first. */
  readonly tail?: boolean;
}

interface Follower {
  readonly filter: LogFilter;
  readonly onLine: (line: LogLine) => void;
}

/**
 * The log lines of all functions. Contract:
 *  1. `append` never waits: lines go to a bounded buffer and to the disk in batches. What was flushed survives
 *     `kill -9`; a torn last line is cut when the function's log is next opened.
 *  2. Lines that do not fit in the buffer are dropped, and a platform line of the same request says how many.
 *  3. `read` gives exactly the matching lines that were appended before the call and are still kept, in the order in
 *     which they were appended. With a `follow` made in the same turn nothing is missed and nothing comes twice.
 *  4. A follower is called within `append`, once for each matching line after `follow`: it returns at once.
 *  5. A function keeps at most `segmentsMax` files of at most `segmentBytesMax` bytes (one longer line has its own).
 */
export class LogStore {
  readonly #options: LogStoreOptions;
  readonly #bounds: FunctionLogBounds;
  readonly #functions = new Map<string, FunctionLog>();
  readonly #unflushed = new Set<FunctionLog>();
  readonly #followers = new Set<Follower>();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: LogStoreOptions) {
    this.#options = options;
    this.#bounds = {
      segmentBytesMax: SEGMENT_BYTES_MAX,
      segmentsMax: SEGMENTS_MAX,
      bufferBytesMax: BUFFER_BYTES_MAX,
      ...options.bounds,
    };
    // What functions print may hold secrets: only the platform reads it.
    mkdirSync(options.directory, { recursive: true, mode: 0o700 });
  }

  append(line: LogLine): void {
    if (this.#isClosed) return;
    const log = this.#require(line.functionName);
    for (const part of splitLine(line)) {
      log.append(part);
      this.#tell(part);
      if (log.isDue) void log.flush();
    }
    if (!log.hasUnflushed) return;
    this.#unflushed.add(log);
    this.#timer ??= setTimeout(() => this.#flushAll(), FLUSH_MS);
  }

  /** Throws INVALID_ARGUMENT for a name that no function can have. */
  read(query: LogQuery): AsyncGenerator<LogLine> {
    // Cut now, not at the reader's first step: the reader's lines are those before this call.
    const segments = this.#require(query.functionName).snapshot();
    // A reader that never begins leaves the failure to nobody; one that does meets it in its loop.
    segments.catch(() => undefined);
    return query.tail === true ? readTail(segments, query) : readHead(segments, query);
  }

  /** Throws LIMIT_EXCEEDED when too many follow. The returned function ends it. */
  follow(filter: LogFilter, onLine: (line: LogLine) => void): () => void {
    if (this.#followers.size >= FOLLOWERS_MAX) {
      throw new ThawError('LIMIT_EXCEEDED', `more than ${FOLLOWERS_MAX} clients follow logs`);
    }
    const follower = { filter, onLine };
    this.#followers.add(follower);
    return () => void this.#followers.delete(follower);
  }

  async removeFunction(functionName: string): Promise<void> {
    const log = this.#require(functionName);
    await log.remove();
  }

  /** Settles when every line appended so far is written or given up. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#unflushed.clear();
    await Promise.all(Array.from(this.#functions.values(), (log) => log.flush()));
  }

  /** Writes what waits; later lines are not taken. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#followers.clear();
    await this.flush();
    // A failed batch is reported by the next one; this is the last chance.
    await this.flush();
  }

  #flushAll(): void {
    this.#timer = undefined;
    const logs = [...this.#unflushed];
    this.#unflushed.clear();
    for (const log of logs) {
      void log.flush().then(() => {
        if (log.hasUnflushed && !this.#isClosed) this.#unflushed.add(log);
      });
    }
  }

  #tell(line: LogLine): void {
    for (const follower of this.#followers) {
      if (!isWanted(follower.filter, line)) continue;
      try {
        follower.onLine(line);
      } catch (error) {
        // A client's broken connection must not reach the function that printed the line.
        this.#followers.delete(follower);
        this.#options.onFailure?.(error);
      }
    }
  }

  #require(functionName: string): FunctionLog {
    const known = this.#functions.get(functionName);
    if (known !== undefined) return known;
    if (!FUNCTION_NAME.test(functionName)) {
      throw new ThawError('INVALID_ARGUMENT', `not the name of a function: ${JSON.stringify(functionName)}`);
    }
    const { directory, clock, onFailure = () => undefined } = this.#options;
    const log = new FunctionLog(functionName, join(directory, functionName), this.#bounds, clock, onFailure);
    this.#functions.set(functionName, log);
    return log;
  }
}

async function* readHead(segments: Promise<readonly LogSegment[]>, query: LogQuery): AsyncGenerator<LogLine> {
  let left = query.limit;
  if (left <= 0) return;
  for (const segment of await segments) {
    for await (const line of scanForward(segment, query)) {
      yield line;
      left -= 1;
      if (left === 0) return;
    }
  }
}

async function* readTail(segments: Promise<readonly LogSegment[]>, query: LogQuery): AsyncGenerator<LogLine> {
  yield* (await newestLines(await segments, query)).toReversed();
}

async function newestLines(segments: readonly LogSegment[], query: LogQuery): Promise<readonly LogLine[]> {
  const limit = Math.min(query.limit, TAIL_LINES_MAX);
  const lines: LogLine[] = [];
  if (limit <= 0) return lines;
  for (const segment of segments.toReversed()) {
    for await (const line of scanBackward(segment, query)) {
      lines.push(line);
      if (lines.length === limit) return lines;
    }
  }
  return lines;
}
