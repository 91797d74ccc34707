import assert from 'node:assert/strict';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../../base/clock.ts';
import type { PlatformLog } from '../../base/platform-log.ts';
import type { CloudEvent } from '../../model/cloud-event.ts';
import type { EventBridgeTrigger } from '../../model/trigger.ts';
import type { MessageQueues, QueueAttributes } from '../../store/message-queues.ts';
import type { TriggerTarget } from '../trigger-source.ts';
import { EventDispatcher } from './event-dispatcher.ts';

export const DEFAULT_BUS = 'default';
/** What of one request goes to the disk together. */
const EVENTS_PER_SEND = 100;
/** An event that a target does not take, because it is not there or has no room, is offered to it for so long. */
const RETENTION_MS = 7 * 86_400_000;
const EVENT_BYTES_MAX = 16 * 1024 * 1024;
const BUS_ATTRIBUTES: QueueAttributes = {
  visibilityTimeoutMs: 60_000,
  delayMs: 0,
  retentionMs: RETENTION_MS,
  messageBytesMax: EVENT_BYTES_MAX,
};

/** What the buses must know of triggers, and cannot before there is an engine. */
export interface BusTriggers {
  /** All that are stored, the paused ones too. */
  list(): readonly EventBridgeTrigger[];
}

/**
 * Buses of CloudEvents. What is published is on disk before that is said: it waits in a queue of its own until every
 * trigger that wants it has taken it as an asynchronous invocation. So a target that cannot take it holds up neither
 * the sender nor the others.
 */
export class EventBuses {
  readonly #outbox: MessageQueues;
  readonly #clock: Clock;
  readonly #log: PlatformLog;
  /** By the trigger's id. */
  readonly #targets = new Map<string, TriggerTarget>();
  readonly #dispatchers = new Map<string, EventDispatcher>();
  #triggers: BusTriggers | undefined;
  #isClosed = false;

  constructor(outbox: MessageQueues, clock: Clock, log: PlatformLog) {
    this.#outbox = outbox;
    this.#clock = clock;
    this.#log = log;
  }

  /** Whether it is known which triggers there are. */
  get isOpen(): boolean {
    return this.#triggers !== undefined;
  }

  /** Where the trigger wants answers; undefined where it does not, or is gone. */
  replyBusOf(triggerId: string): string | undefined {
    return this.#stored().find((trigger) => trigger.triggerId === triggerId)?.config.replyEventBusName;
  }

  /** Begins to hand on what was published, also in a former life. Every stored trigger must be known by now. */
  open(triggers: BusTriggers): void {
    this.#triggers = triggers;
    for (const name of this.#outbox.names()) this.#dispatch(name);
  }

  /**
   * When it resolves, the events are on disk. Rejects with EVENT_BUS_NOT_FOUND, or QUEUE_FULL and STORE_FAILED, where
   * the first of them may have been taken and the sender should send all again. Of a reply, what is published again under
   * the same key comes to each trigger once.
   */
  async publish(
    busName: string,
    events: readonly CloudEvent[],
    reply?: { readonly key: string; readonly hops: number },
  ): Promise<void> {
    if (!this.has(busName)) {
      throw new ThawError(
        'EVENT_BUS_NOT_FOUND',
        `there is no event bus '${busName}': no trigger listens to it`,
        { details: { bus: busName } },
      );
    }
    if (this.#outbox.attributesOf(busName) === undefined) await this.#create(busName);
    for (let from = 0; from < events.length; from += EVENTS_PER_SEND) {
      const messages = events.slice(from, from + EVENTS_PER_SEND).map((event, index) => ({
        body: JSON.stringify(event),
        ...(reply === undefined
          ? {}
          : { attributes: { key: `${reply.key}-${from + index}`, hops: String(reply.hops) } }),
      }));
      await this.#outbox.send(busName, messages);
    }
    this.#dispatch(busName);
  }

  /** The default bus is always there; another one is made by the first trigger that names it. */
  has(busName: string): boolean {
    return busName === DEFAULT_BUS || this.#stored().some(({ config }) => config.eventBusName === busName);
  }

  async list(): Promise<readonly BusDescription[]> {
    const names = new Set([DEFAULT_BUS, ...this.#stored().map(({ config }) => config.eventBusName)]);
    const waiting = new Map((await this.#outbox.list()).map(({ name, messages }) => [name, messages]));
    for (const name of waiting.keys()) names.add(name);
    return [...names].toSorted().map((name) => ({
      eventBusName: name,
      triggers: this.#stored().filter(({ config }) => config.eventBusName === name).length,
      waiting: waiting.get(name) ?? 0,
    }));
  }

  /** A trigger that may be handed events from now on. */
  setTarget(triggerId: string, target: TriggerTarget | undefined): void {
    if (target === undefined) this.#targets.delete(triggerId);
    else this.#targets.set(triggerId, target);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#dispatchers.values()].map((dispatcher) => dispatcher.close()));
  }

  async #create(busName: string): Promise<void> {
    try {
      await this.#outbox.create(busName, BUS_ATTRIBUTES);
    } catch (error) {
      if (!(error instanceof ThawError && error.code === 'QUEUE_EXISTS')) throw error;
    }
  }

  #dispatch(busName: string): void {
    if (this.#isClosed || this.#dispatchers.has(busName)) return;
    const dispatcher = new EventDispatcher({
      busName,
      outbox: this.#outbox,
      clock: this.#clock,
      log: this.#log,
      triggers: () => this.#stored().filter(({ config }) => config.eventBusName === busName),
      targetOf: (triggerId) => this.#targets.get(triggerId),
    });
    this.#dispatchers.set(busName, dispatcher);
  }

  #stored(): readonly EventBridgeTrigger[] {
    assert(this.#triggers !== undefined, 'the buses are open');
    return this.#triggers.list();
  }
}

export interface BusDescription {
  readonly eventBusName: string;
  /** That listen to it. */
  readonly triggers: number;
  /** Events that not every trigger has taken yet. */
  readonly waiting: number;
}
