import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../../base/clock.ts';
import type {
  MessageQueues,
  NewMessage,
  QueueAttributes,
  QueueDescription,
  Received,
  ReceiveRequest,
  VisibilityChange,
} from '../message-queues.ts';
import { Watchers } from '../watchers.ts';
import type {
  FromMessageQueuesThread,
  MessageQueuesCall,
  MessageQueuesMethod,
  MessageQueuesThreadData,
  ToMessageQueuesThread,
} from './message-queues-messages.ts';
import type { SqliteMessageQueues } from './sqlite-message-queues.ts';
import { errorOf } from './told-error.ts';

/** What may be on its way to the disk before senders are refused. */
const PENDING_CALLS_MAX = 20_000;
const PENDING_BYTES_MAX = 128 * 1024 * 1024;

interface Pending {
  readonly bytes: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: ThawError) => void;
}

/**
 * `MessageQueues` in a SQLite file that a thread of its own writes: the event loop of the gateway never waits for a
 * disk. Neither file nor thread is there before the first call that needs them. Names and attributes are in memory
 * here, as far as calls have been answered.
 */
export class ThreadedMessageQueues implements MessageQueues {
  readonly #data: Omit<MessageQueuesThreadData, 'nowMs'>;
  readonly #clock: Clock;
  readonly #onLost: ((error: ThawError) => void) | undefined;
  readonly #opened = Promise.withResolvers<void>();
  readonly #attributes = new Map<string, QueueAttributes>();
  readonly #watchers = new Watchers();
  readonly #pending = new Map<number, Pending>();
  #worker: Worker | undefined;
  #exited: Promise<void> = Promise.resolve();
  #calls: MessageQueuesCall[] = [];
  #pendingBytes = 0;
  #lastId = 0;
  #isScheduled = false;
  #isClosed = false;
  #lost: ThawError | undefined;
  #onIdle: (() => void) | undefined;

  /** Opens a file such as `messages.db` in the directory, or makes it with the first queue. Rejects with STORE_FAILED. */
  static async open(
    directory: string,
    file: string,
    clock: Clock,
    onLost?: (error: ThawError) => void,
  ): Promise<ThreadedMessageQueues> {
    const queues = new ThreadedMessageQueues({ directory, file }, clock, onLost);
    if (existsSync(join(directory, file))) {
      queues.#start();
      await queues.#opened.promise;
    }
    return queues;
  }

  private constructor(
    data: Omit<MessageQueuesThreadData, 'nowMs'>,
    clock: Clock,
    onLost: ((error: ThawError) => void) | undefined,
  ) {
    this.#data = data;
    this.#clock = clock;
    this.#onLost = onLost;
    // Whoever opens a file that is there waits for it; of another one each call tells.
    this.#opened.promise.catch(() => undefined);
  }

  async create(name: string, attributes: QueueAttributes): Promise<void> {
    await this.#call('create', [name, attributes]);
    this.#attributes.set(name, attributes);
  }

  async update(name: string, attributes: QueueAttributes): Promise<void> {
    await this.#call('update', [name, attributes]);
    this.#attributes.set(name, attributes);
  }

  async delete(name: string): Promise<void> {
    await this.#call('delete', [name]);
    this.#attributes.delete(name);
  }

  async get(name: string): Promise<QueueDescription | undefined> {
    return this.#worker === undefined ? undefined : this.#call('get', [name]);
  }

  async list(): Promise<readonly QueueDescription[]> {
    return this.#worker === undefined ? [] : this.#call('list', []);
  }

  attributesOf(name: string): QueueAttributes | undefined {
    return this.#attributes.get(name);
  }

  names(): readonly string[] {
    return [...this.#attributes.keys()].toSorted();
  }

  send(name: string, messages: readonly NewMessage[]): Promise<readonly string[]> {
    if (this.#pending.size >= PENDING_CALLS_MAX || this.#pendingBytes >= PENDING_BYTES_MAX) {
      const why = `${this.#pending.size} calls wait for the disk already`;
      return Promise.reject(new ThawError('QUEUE_FULL', why, { retryAfterS: 1 }));
    }
    const bytes = messages.reduce((sum, { body }) => sum + body.length, 0);
    return this.#call('send', [name, messages], bytes);
  }

  receive(name: string, request: ReceiveRequest): Promise<Received> {
    return this.#call('receive', [name, request]);
  }

  acknowledge(name: string, receipts: readonly string[]): Promise<readonly boolean[]> {
    return this.#call('acknowledge', [name, receipts]);
  }

  changeVisibility(name: string, changes: readonly VisibilityChange[]): Promise<readonly boolean[]> {
    return this.#call('changeVisibility', [name, changes]);
  }

  purge(name: string): Promise<number> {
    return this.#call('purge', [name]);
  }

  redrive(name: string, limit: number): Promise<number> {
    return this.#call('redrive', [name, limit]);
  }

  async expire(): Promise<number> {
    return this.#worker === undefined ? 0 : this.#call('expire', []);
  }

  watch(name: string, onVisible: () => void): () => void {
    return this.#watchers.add(name, onVisible);
  }

  async close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      if (this.#pending.size > 0 && this.#lost === undefined) {
        await new Promise<void>((resolve) => {
          this.#onIdle = resolve;
        });
      }
      this.#watchers.clear();
      this.#post({ close: true });
    }
    await this.#exited;
  }

  #start(): void {
    if (this.#worker !== undefined) return;
    const data: MessageQueuesThreadData = { ...this.#data, nowMs: this.#clock.now() };
    const worker = new Worker(new URL('message-queues-thread.ts', import.meta.url), { workerData: data });
    this.#worker = worker;
    this.#exited = new Promise((resolve) => worker.once('exit', () => resolve()));
    worker.on('message', (message: FromMessageQueuesThread) => this.#onMessage(message));
    worker.once('error', (cause) => {
      const error = new ThawError('STORE_FAILED', 'the thread that writes message queues is gone', { cause });
      this.#lose(error);
      this.#onLost?.(error);
    });
  }

  #onMessage(message: FromMessageQueuesThread): void {
    switch (message.kind) {
      case 'opened':
        for (const [name, attributes] of message.queues) this.#attributes.set(name, attributes);
        this.#opened.resolve();
        break;
      case 'refused':
        this.#lose(errorOf(message.error));
        break;
      case 'replies':
        for (const reply of message.replies) {
          const pending = this.#pending.get(reply.id);
          if (pending === undefined) continue;
          this.#pending.delete(reply.id);
          this.#pendingBytes -= pending.bytes;
          if ('error' in reply) pending.reject(errorOf(reply.error));
          else pending.resolve(reply.value);
        }
        if (this.#pending.size === 0) this.#onIdle?.();
        break;
      case 'visible':
        for (const name of message.names) this.#watchers.tell(name);
        break;
    }
  }

  #call<M extends MessageQueuesMethod>(
    method: M,
    args: Parameters<SqliteMessageQueues[M]>,
    bytes = 0,
  ): Promise<Awaited<ReturnType<SqliteMessageQueues[M]>>> {
    if (this.#isClosed) {
      return Promise.reject(new ThawError('SHUTTING_DOWN', 'the platform is shutting down'));
    }
    if (this.#lost !== undefined) return Promise.reject(this.#lost);
    this.#start();
    this.#lastId += 1;
    const id = this.#lastId;
    this.#pendingBytes += bytes;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, {
        bytes,
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the reply of a method is what it returns
        resolve: (value) => resolve(value as Awaited<ReturnType<SqliteMessageQueues[M]>>),
        reject,
      });
      this.#calls.push({ id, method, args });
      this.#sendLater();
    });
  }

  /** At the end of the turn, so that all that it brought goes together. */
  #sendLater(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      const calls = this.#calls;
      this.#calls = [];
      if (this.#lost === undefined && calls.length > 0) this.#post({ nowMs: this.#clock.now(), calls });
    });
  }

  #post(message: ToMessageQueuesThread): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    this.#worker?.postMessage(message);
  }

  #lose(error: ThawError): void {
    this.#lost = error;
    this.#opened.reject(error);
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
    this.#pendingBytes = 0;
    this.#onIdle?.();
  }
}
