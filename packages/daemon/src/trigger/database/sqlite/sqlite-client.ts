import { Worker } from 'node:worker_threads';
import type { SqliteAnswers, SqliteCall, SqliteFailure, SqliteReply, SqliteRequest } from './sqlite-calls.ts';

/** One read's changes, as text and as objects, and SQLite's own pages. */
const HEAP_MB_MAX = 128;

/** A failure of the file, with SQLite's number or Node's name of it. */
export class SqliteFileError extends Error {
  readonly code: string;

  constructor({ message, code }: SqliteFailure) {
    super(message);
    this.code = code;
  }
}

interface Waiting {
  readonly resolve: (value: SqliteAnswers[SqliteCall['do']]) => void;
  readonly reject: (error: unknown) => void;
}

/** A thread of its own for one file, so that whoever else holds it never holds up the platform. */
export class SqliteClient {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #asked = 0;
  #ended: Error | undefined;

  constructor() {
    this.#worker = new Worker(new URL('sqlite-thread.ts', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX },
    });
    this.#worker.on('message', (reply: SqliteReply) => {
      const waiting = this.#waiting.get(reply.id);
      this.#waiting.delete(reply.id);
      if ('failure' in reply) waiting?.reject(new SqliteFileError(reply.failure));
      else waiting?.resolve(reply.value);
    });
    this.#worker.on('error', (error: unknown) =>
      this.#end(error instanceof Error ? error : new Error('the thread failed', { cause: error })),
    );
    this.#worker.on('exit', () => this.#end(new Error('the thread that holds the file has ended')));
  }

  ask<C extends SqliteCall>(call: C): Promise<SqliteAnswers[C['do']]> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) {
        reject(this.#ended);
        return;
      }
      this.#asked += 1;
      const request: SqliteRequest = { id: this.#asked, call };
      this.#waiting.set(request.id, {
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the thread answers each call with its own kind
        resolve: (value) => resolve(value as SqliteAnswers[C['do']]),
        reject,
      });
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, no window
      this.#worker.postMessage(request);
    });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
