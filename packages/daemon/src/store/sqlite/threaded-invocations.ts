import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Timeline } from '@thaw/protocol/timeline.ts';
import type { InvocationLog, InvocationPage, InvocationQuery, InvocationRecord } from '../invocation-log.ts';
import { SqliteInvocations, type SqliteInvocationsOptions } from './sqlite-invocations.ts';

/**
 * What a reader waits at most, blocking everybody, for what was appended before. A thread is behind by more than that
 * only under a flood; then a list lacks its last moments.
 */
const SETTLE_MS_MAX = 100;
/** Messages that wait for the thread; what comes beyond is given up and reported. A message holds a batch of records. */
const BACKLOG_MAX = 128;
/** The thread holds a few batches; its heap may not grow into the platform's memory. */
const HEAP_MB_MAX = 128;

export interface WriterData {
  readonly directory: string;
  readonly options: SqliteInvocationsOptions;
  /** Messages done, ever. */
  readonly done: Int32Array<SharedArrayBuffer>;
}

export type WriterMessage =
  /** As JSON text: that is one copy between the threads in place of one of each field. */
  | { readonly kind: 'append'; readonly records: string }
  | { readonly kind: 'amend'; readonly requestId: string; readonly timeline: Timeline }
  | { readonly kind: 'close' };

export interface WriterReport {
  readonly doing: WriterMessage['kind'];
  readonly error: unknown;
}

export interface ThreadedInvocationsOptions extends SqliteInvocationsOptions {
  /** The thread could not do what it was given. */
  readonly onFailure: (error: ThawError) => void;
}

interface Pending {
  /** Of its message, counted from the first. */
  readonly number: number;
  readonly records: InvocationRecord[];
}

/**
 * `InvocationLog` whose writes are another thread's work: an insertion costs as much CPU as a third of a warm request.
 * Whoever reads waits a little, blocking, until all that was appended before can be read; reading is rare. A single
 * record is found in any case: what the thread has not written yet is kept here.
 */
export class ThreadedInvocations implements InvocationLog {
  readonly #directory: string;
  readonly #options: ThreadedInvocationsOptions;
  readonly #reader: SqliteInvocations;
  #writer: Worker;
  #done: Int32Array<SharedArrayBuffer>;
  #sent = 0;
  #pending: Pending[] = [];
  #isClosed = false;

  /** Throws STORE_FAILED where the database cannot be opened. */
  constructor(directory: string, options: ThreadedInvocationsOptions) {
    this.#directory = directory;
    this.#options = options;
    this.#reader = new SqliteInvocations(directory, options);
    this.#done = newCounter();
    this.#writer = this.#startWriter();
  }

  append(records: readonly InvocationRecord[]): void {
    if (records.length === 0) return;
    this.#forgetWritten();
    if (this.#send({ kind: 'append', records: JSON.stringify(records) })) {
      this.#pending.push({ number: this.#sent, records: [...records] });
    }
  }

  amend(requestId: string, timeline: Timeline): void {
    if (!this.#send({ kind: 'amend', requestId, timeline })) return;
    for (const { records } of this.#pending) {
      const at = records.findIndex((record) => record.requestId === requestId);
      const record = records[at];
      if (record !== undefined) records[at] = { ...record, timeline: { ...record.timeline, ...timeline } };
    }
  }

  get(requestId: string): InvocationRecord | undefined {
    this.#forgetWritten();
    for (const { records } of this.#pending.toReversed()) {
      const record = records.findLast((each) => each.requestId === requestId);
      if (record !== undefined) return record;
    }
    this.#settle();
    return this.#reader.get(requestId);
  }

  list(query: InvocationQuery): InvocationPage {
    this.#settle();
    return this.#reader.list(query);
  }

  /** Settles when everything is written and the thread has ended. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    const ended = once(this.#writer, 'exit');
    // Past the bound of the backlog too: without it the thread would never end.
    this.#post({ kind: 'close' });
    this.#isClosed = true;
    this.#reader.close();
    await ended;
  }

  /** False when it is given up. */
  #send(message: WriterMessage): boolean {
    assert(!this.#isClosed, 'the invocation log is closed');
    if (this.#backlog() < BACKLOG_MAX) {
      this.#post(message);
      return true;
    }
    this.#fail(message.kind, new Error(`${BACKLOG_MAX} writes wait already`));
    return false;
  }

  #post(message: WriterMessage): void {
    this.#sent += 1;
    this.#writer.postMessage(message, []);
  }

  #backlog(): number {
    return this.#sent - Atomics.load(this.#done, 0);
  }

  #forgetWritten(): void {
    const done = Atomics.load(this.#done, 0);
    const [oldest] = this.#pending;
    if (oldest !== undefined && oldest.number <= done) {
      this.#pending = this.#pending.filter(({ number }) => number > done);
    }
  }

  #settle(): void {
    const until = performance.now() + SETTLE_MS_MAX;
    for (;;) {
      const done = Atomics.load(this.#done, 0);
      const leftMs = until - performance.now();
      if (done >= this.#sent || leftMs <= 0) return;
      Atomics.wait(this.#done, 0, done, leftMs);
    }
  }

  #startWriter(): Worker {
    const { recordsMax } = this.#options;
    const data: WriterData = {
      directory: this.#directory,
      options: recordsMax === undefined ? {} : { recordsMax },
      done: this.#done,
    };
    const writer = new Worker(new URL('invocation-writer.ts', import.meta.url), {
      workerData: data,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX },
    });
    writer.on('message', ({ doing, error }: WriterReport) => this.#fail(doing, error));
    writer.on('error', (error) => this.#fail('append', error));
    writer.on('exit', () => {
      if (!this.#isClosed) this.#replaceWriter();
    });
    return writer;
  }

  /** What the thread had not done is lost, as a batch that cannot be written is. */
  #replaceWriter(): void {
    this.#sent = 0;
    this.#pending = [];
    this.#done = newCounter();
    this.#writer = this.#startWriter();
  }

  #fail(doing: WriterMessage['kind'], cause: unknown): void {
    this.#options.onFailure(
      new ThawError('STORE_FAILED', `could not ${doing} invocation records`, { cause }),
    );
  }
}

function newCounter(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
}
