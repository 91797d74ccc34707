import type { Clock } from '../../base/clock.ts';
import { encodeLine, type LogLine } from './log-line.ts';
import { LogSegments, type LogSegment, type SegmentBounds } from './log-segments.ts';

/** A function's lines reach the disk early once so many bytes wait. */
const FLUSH_BYTES = 64 * 1024;

/** Requests whose dropped lines are counted one by one; those of further ones are counted together. */
const DROP_REQUESTS_MAX = 64;

export interface FunctionLogBounds extends SegmentBounds {
  /** Bytes of one function that may wait for the disk; further lines are dropped and counted. */
  readonly bufferBytesMax: number;
}

/**
 * The lines of one function on their way to its segments. Lines wait in memory until `flush` cuts a batch; batches
 * are written one after the other. What waits and what is being written count against one bound.
 */
export class FunctionLog {
  readonly #name: string;
  readonly #bounds: FunctionLogBounds;
  readonly #clock: Clock;
  readonly #onFailure: (error: unknown) => void;
  readonly #segments: LogSegments;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #bytes = 0;
  #batchesUnderWay = 0;
  /** Dropped lines since the last report, by request. */
  #dropped = new Map<string, number>();
  #work: Promise<void> = Promise.resolve();

  constructor(
    name: string,
    directory: string,
    bounds: FunctionLogBounds,
    clock: Clock,
    onFailure: (error: unknown) => void,
  ) {
    this.#name = name;
    this.#bounds = bounds;
    this.#clock = clock;
    this.#onFailure = onFailure;
    this.#segments = new LogSegments(directory, bounds);
  }

  get hasUnflushed(): boolean {
    return this.#waiting.length > 0 || this.#dropped.size > 0;
  }

  /** Whether enough waits for a batch of its own and no batch is under way: while the disk is slow, batches grow. */
  get isDue(): boolean {
    return this.#waitingBytes >= FLUSH_BYTES && this.#batchesUnderWay === 0;
  }

  append(line: LogLine): void {
    const bytes = Buffer.from(encodeLine(line));
    if (this.#bytes + bytes.length > this.#bounds.bufferBytesMax) {
      this.#countDropped(line.requestId, 1);
    } else {
      this.#waiting.push(bytes);
      this.#waitingBytes += bytes.length;
      this.#bytes += bytes.length;
    }
  }

  /** Cuts what waits now into a batch; settles when it and everything before it is written or given up. */
  flush(): Promise<void> {
    const batch = this.#waiting;
    const bytes = this.#waitingBytes;
    const dropped = this.#dropped;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#dropped = new Map();
    if (batch.length + dropped.size === 0) return this.#work;
    const reports = Array.from(dropped, ([requestId, lines]) => this.#dropReport(requestId, lines));
    this.#batchesUnderWay += 1;
    return this.#enqueue(async () => {
      try {
        await this.#segments.append([...batch, ...reports]);
      } catch (error) {
        if (batch.length > 0) this.#countDropped('', batch.length);
        for (const [requestId, lines] of dropped) this.#countDropped(requestId, lines);
        this.#onFailure(error);
      } finally {
        this.#bytes -= bytes;
        this.#batchesUnderWay -= 1;
      }
    });
  }

  /** The segments with exactly the lines that were appended before the call. */
  async snapshot(): Promise<readonly LogSegment[]> {
    void this.flush();
    let segments: readonly LogSegment[] = [];
    await this.#enqueue(async () => {
      segments = await this.#segments.list();
    });
    return segments;
  }

  remove(): Promise<void> {
    this.#waiting = [];
    this.#bytes -= this.#waitingBytes;
    this.#waitingBytes = 0;
    this.#dropped.clear();
    return this.#enqueue(() => this.#segments.remove());
  }

  #enqueue(work: () => Promise<void>): Promise<void> {
    const done = this.#work.then(work);
    // The next in the row runs whatever becomes of this one, whose failure is its caller's.
    this.#work = done.catch(() => undefined);
    return done;
  }

  #countDropped(requestId: string, lines: number): void {
    const isKnown = this.#dropped.has(requestId) || this.#dropped.size < DROP_REQUESTS_MAX;
    const key = isKnown ? requestId : '';
    this.#dropped.set(key, (this.#dropped.get(key) ?? 0) + lines);
  }

  #dropReport(requestId: string, lines: number): Buffer {
    const report = encodeLine({
      time: this.#clock.now(),
      functionName: this.#name,
      versionId: '',
      requestId,
      instanceId: '',
      source: 'platform',
      text: `${lines} log lines were dropped: they came faster than the disk took them, or it refused them`,
    });
    return Buffer.from(report);
  }
}
