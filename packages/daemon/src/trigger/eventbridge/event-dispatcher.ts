import { setTimeout as wait } from 'node:timers/promises';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../../base/clock.ts';
import type { PlatformLog } from '../../base/platform-log.ts';
import { eventTaskId } from '../../model/event-task-id.ts';
import type { EventBridgeTrigger } from '../../model/trigger.ts';
import type { MessageQueues, NewMessage, ReceivedMessage } from '../../store/message-queues.ts';
import { receiveWithin } from '../queue/receive-within.ts';
import type { TriggerTarget } from '../trigger-source.ts';
import { matchesEvent } from './matches-event.ts';

const EVENTS_AT_ONCE = 100;
const POLL_MS = 60_000;
const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 5 * 60_000;

export interface EventDispatcherOptions {
  readonly busName: string;
  readonly outbox: MessageQueues;
  readonly clock: Clock;
  readonly log: PlatformLog;
  /** That listen to the bus, the paused ones too. */
  readonly triggers: () => readonly EventBridgeTrigger[];
  /** Undefined for one that nothing can be handed to now. */
  readonly targetOf: (triggerId: string) => TriggerTarget | undefined;
}

/**
 * Hands the events of one bus on. An event is done with when each trigger has taken it; for one that could not, an
 * event for it alone is put back. Task ids are made of event and trigger: whatever is repeated after a crash, an
 * invocation is accepted once.
 */
export class EventDispatcher {
  readonly #options: EventDispatcherOptions;
  readonly #closing = new AbortController();
  readonly #running: Promise<void>;

  constructor(options: EventDispatcherOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { busName, outbox, clock, log } = this.#options;
    const { signal } = this.#closing;
    let failures = 0;
    while (!signal.aborted) {
      try {
        const request = {
          queueName: busName,
          limit: EVENTS_AT_ONCE,
          waitMs: POLL_MS,
          endsWithStore: true,
          signal,
        };
        await this.#handOn(await receiveWithin(outbox, clock, request));
        failures = 0;
      } catch (thrown) {
        failures += 1;
        log('error', `events of the bus '${busName}' could not be handed on`, thrown);
        await wait(retryMs(failures), undefined, { signal }).catch(() => undefined);
      }
    }
  }

  /** What is not acknowledged in the end becomes visible again by itself. */
  async #handOn(messages: readonly ReceivedMessage[]): Promise<void> {
    if (messages.length === 0) return;
    const { busName, outbox } = this.#options;
    const again = (await Promise.all(messages.map((message) => this.#handOnOne(message)))).flat();
    // First what is owed, then what it was owed from: a crash between the two repeats, and loses nothing.
    if (again.length > 0) await outbox.send(busName, again);
    await outbox.acknowledge(
      busName,
      messages.map(({ receipt }) => receipt),
    );
  }

  /** Gives what is to be tried again. */
  async #handOnOne({ messageId, body, attributes }: ReceivedMessage): Promise<readonly NewMessage[]> {
    const { key = messageId, only, tries = '0', hops = '0' } = attributes;
    const event: unknown = JSON.parse(body);
    const wanting = this.#options
      .triggers()
      .filter(
        (trigger) =>
          !trigger.isPaused &&
          (only ?? trigger.triggerId) === trigger.triggerId &&
          matchesEvent(trigger.config, event),
      );
    const isTaken = await Promise.all(
      wanting.map((trigger) => this.#submit(trigger, { key, hops: Number(hops) }, body)),
    );
    const tried = Number(tries) + 1;
    return wanting
      .filter((_, index) => isTaken[index] === false)
      .map(({ triggerId }) => ({
        body,
        attributes: { key, only: triggerId, tries: String(tried), hops },
        delayMs: retryMs(tried),
      }));
  }

  /** False where the trigger is to be asked again. What it can never take is dropped, which its log shows. */
  async #submit(
    { triggerId, config }: EventBridgeTrigger,
    event: { readonly key: string; readonly hops: number },
    body: string,
  ): Promise<boolean> {
    const target = this.#options.targetOf(triggerId);
    if (target === undefined) return false;
    const { key } = event;
    const hops = config.replyEventBusName === undefined ? undefined : event.hops;
    try {
      await target.submit(Buffer.from(body), { taskId: eventTaskId({ key, triggerId, hops }) });
      target.report(undefined);
      return true;
    } catch (thrown) {
      const error = ThawError.from(thrown, 'handing on an event');
      target.report(error);
      return !error.isRetryable;
    }
  }
}

function retryMs(tries: number): number {
  return Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(30, tries - 1));
}
