import { setTimeout as wait } from 'node:timers/promises';
import type { QueueTriggerConfig } from '@thaw/protocol/fc/triggers/queue.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../../base/clock.ts';
import { RECEIVE_BYTES_MAX, type MessageQueues, type ReceivedMessage } from '../../store/message-queues.ts';
import type { AttachedTrigger, TriggerTarget } from '../trigger-source.ts';
import { failedMessages } from './queue-event.ts';
import { receiveWithin } from './receive-within.ts';

/** What is with the function is kept from others for so long at least, and for longer as long as it runs. */
const VISIBILITY_MS_MIN = 30_000;
const POLL_MS = 60_000;
/** A message that failed waits 1, 2, 4, … seconds until its next try. */
const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 15 * 60_000;
/** A queue that cannot be read is tried so often at least, and at once when it is made. */
const READ_RETRY_MS_MAX = 15_000;
/** Batches that are with the function when the trigger is changed or the platform stops get so long to finish. */
const DETACH_GRACE_MS = 10_000;

export interface QueueConsumerOptions {
  readonly config: QueueTriggerConfig;
  readonly target: TriggerTarget;
  readonly queues: MessageQueues;
  readonly clock: Clock;
  readonly eventOf: (messages: readonly ReceivedMessage[]) => Buffer;
}

/**
 * Takes batches from a queue to a function, several at a time. A message is acknowledged when the function has dealt
 * with it. After a crash of anything it becomes visible again; so it may come twice, and never goes lost.
 */
export class QueueConsumer implements AttachedTrigger {
  readonly #options: QueueConsumerOptions;
  readonly #detached = new AbortController();
  /** Ends what is still with the function. */
  readonly #stopped = new AbortController();
  readonly #batches = new Set<Promise<void>>();
  readonly #running: Promise<void>;

  constructor(options: QueueConsumerOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  async detach(): Promise<void> {
    this.#detached.abort();
    await this.#running;
    const grace = setTimeout(() => this.#stopped.abort(), DETACH_GRACE_MS);
    await Promise.all(this.#batches);
    clearTimeout(grace);
  }

  async #run(): Promise<void> {
    const { config, target, queues } = this.#options;
    let failures = 0;
    while (!this.#detached.signal.aborted) {
      // A queue that is not there may be made while this is being found out.
      const news = new AbortController();
      const unwatch = queues.watch(config.queueName, () => news.abort());
      try {
        const messages = await this.#collect();
        failures = 0;
        target.report(undefined);
        if (messages.length === 0) continue;
        const batch = this.#deal(messages).finally(() => this.#batches.delete(batch));
        this.#batches.add(batch);
        if (this.#batches.size >= config.maxConcurrency) await Promise.race(this.#batches);
      } catch (thrown) {
        target.report(ThawError.from(thrown, `reading the queue '${config.queueName}'`));
        failures += 1;
        const pauseMs = Math.min(READ_RETRY_MS_MAX, retryMs(failures));
        await this.#pause(pauseMs, AbortSignal.any([news.signal, this.#detached.signal]));
      } finally {
        unwatch();
      }
    }
  }

  /** A batch: what is there, and what comes within the window. */
  async #collect(): Promise<readonly ReceivedMessage[]> {
    const { config, queues, clock } = this.#options;
    const { queueName, batchSize, batchWindowMs } = config;
    const visibilityTimeoutMs = this.#visibilityMs() + batchWindowMs;
    const { signal } = this.#detached;
    const request = { queueName, visibilityTimeoutMs, endsWithStore: true, signal };
    const messages = [
      ...(await receiveWithin(queues, clock, { ...request, limit: batchSize, waitMs: POLL_MS })),
    ];
    const untilMs = clock.monotonicMs() + batchWindowMs;
    const isOpen = (): boolean => messages.length < batchSize && bytesOf(messages) < RECEIVE_BYTES_MAX;
    while (messages.length > 0 && isOpen() && !signal.aborted) {
      const waitMs = untilMs - clock.monotonicMs();
      if (waitMs <= 0) break;
      const limit = batchSize - messages.length;
      messages.push(...(await receiveWithin(queues, clock, { ...request, limit, waitMs })));
    }
    if (!signal.aborted || messages.length === 0) return messages;
    await this.#putBack(messages, 0);
    return [];
  }

  /** Never rejects: what becomes of the messages is the queue's to say, even when it cannot be told. */
  async #deal(messages: readonly ReceivedMessage[]): Promise<void> {
    const { target, eventOf } = this.#options;
    const stopKeeping = this.#keep(messages);
    try {
      const { body, error } = await target.invoke(eventOf(messages), this.#stopped.signal);
      stopKeeping();
      if (error === undefined) await this.#settle(messages, failedMessages(body, messages));
      else if (error.fault === 'function') await this.#settle(messages, idsOf(messages));
      else await this.#retryLater(messages, error);
    } catch (thrown) {
      target.report(
        ThawError.from(thrown, `settling messages of the queue '${this.#options.config.queueName}'`),
      );
    } finally {
      stopKeeping();
    }
  }

  async #settle(messages: readonly ReceivedMessage[], failed: ReadonlySet<string>): Promise<void> {
    const { queues, config } = this.#options;
    const done = messages.filter((message) => !failed.has(message.messageId));
    const again = messages.filter((message) => failed.has(message.messageId));
    await Promise.all([
      done.length === 0
        ? undefined
        : queues.acknowledge(
            config.queueName,
            done.map(({ receipt }) => receipt),
          ),
      again.length === 0
        ? undefined
        : queues.changeVisibility(
            config.queueName,
            again.map(({ receipt, receiveCount }) => ({
              receipt,
              visibilityTimeoutMs: retryMs(receiveCount),
            })),
          ),
    ]);
  }

  /** Nothing that the messages can do anything for: they are not counted, and the batch's place is held meanwhile. */
  async #retryLater(messages: readonly ReceivedMessage[], error: ThawError): Promise<void> {
    if (!this.#detached.signal.aborted) this.#options.target.report(error);
    const pauseMs = Math.max(RETRY_MS_MIN, (error.retryAfterS ?? 0) * 1_000);
    await this.#putBack(messages, this.#detached.signal.aborted ? 0 : pauseMs);
    await this.#pause(pauseMs);
  }

  async #putBack(messages: readonly ReceivedMessage[], visibilityTimeoutMs: number): Promise<void> {
    await this.#options.queues.changeVisibility(
      this.#options.config.queueName,
      messages.map(({ receipt }) => ({ receipt, visibilityTimeoutMs, isUncounted: true })),
    );
  }

  /** Keeps messages from others for as long as the function runs. */
  #keep(messages: readonly ReceivedMessage[]): () => void {
    const { queues, config, target } = this.#options;
    const visibilityTimeoutMs = this.#visibilityMs();
    const timer = setInterval(() => {
      const changes = messages.map(({ receipt }) => ({ receipt, visibilityTimeoutMs, isKept: true }));
      queues.changeVisibility(config.queueName, changes).catch((thrown: unknown) => {
        target.report(ThawError.from(thrown, `keeping messages of the queue '${config.queueName}'`));
      });
    }, visibilityTimeoutMs / 3);
    return () => clearInterval(timer);
  }

  #visibilityMs(): number {
    const { queues, config } = this.#options;
    const own = queues.attributesOf(config.queueName)?.visibilityTimeoutMs ?? 0;
    return Math.max(VISIBILITY_MS_MIN, own);
  }

  async #pause(ms: number, signal = this.#detached.signal): Promise<void> {
    await wait(ms, undefined, { signal }).catch(() => undefined);
  }
}

function bytesOf(messages: readonly ReceivedMessage[]): number {
  return messages.reduce((sum, { body }) => sum + Buffer.byteLength(body), 0);
}

function idsOf(messages: readonly ReceivedMessage[]): ReadonlySet<string> {
  return new Set(messages.map((message) => message.messageId));
}

function retryMs(tries: number): number {
  return Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(30, tries - 1));
}
