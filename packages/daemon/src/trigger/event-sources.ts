import type { Clock } from '../base/clock.ts';
import type { PlatformLog } from '../base/platform-log.ts';
import type { AccountPlace } from '../catalog/arn.ts';
import type { RoutingTable } from '../catalog/routing-table.ts';
import type { MessageQueues } from '../store/message-queues.ts';
import type { Records } from '../store/records.ts';
import type { EventInvocations } from './event-invocations.ts';
import { EventBridgeSource } from './eventbridge/eventbridge-source.ts';
import { EventBuses } from './eventbridge/event-buses.ts';
import { QueueSource } from './queue/queue-source.ts';
import { TimerSource } from './timer/timer-source.ts';
import { TriggerEngine } from './trigger-engine.ts';
import type { TriggerSource } from './trigger-source.ts';

/** How often messages and events that are too old are looked for. */
const EXPIRE_MS = 60_000;

export interface EventSourcesOptions {
  readonly records: Records;
  readonly routes: RoutingTable;
  readonly queues: MessageQueues;
  /** Where events wait until they are handed on. */
  readonly outbox: MessageQueues;
  readonly invocations: EventInvocations;
  /** Types of triggers besides timers, queues and event buses. */
  readonly furtherSources: readonly TriggerSource[];
  readonly clock: Clock;
  readonly log: PlatformLog;
  readonly place: AccountPlace;
}

/** Everything that turns what happens into invocations: the types of triggers, and the engine that runs them. */
export class EventSources {
  readonly engine: TriggerEngine;
  readonly buses: EventBuses;
  readonly #options: EventSourcesOptions;
  #expiring: NodeJS.Timeout | undefined;

  constructor(options: EventSourcesOptions) {
    const { records, routes, queues, outbox, invocations, clock, log, place } = options;
    this.#options = options;
    this.buses = new EventBuses(outbox, clock, log);
    this.engine = new TriggerEngine({
      records,
      clock,
      log,
      invocations,
      find: (functionName, qualifier) => routes.find(functionName, qualifier, Math.random()),
      sources: [
        new TimerSource(clock),
        new QueueSource(queues, clock, place),
        new EventBridgeSource(this.buses),
        ...options.furtherSources,
      ],
    });
  }

  async open(): Promise<void> {
    const { queues, outbox, log } = this.#options;
    this.engine.open();
    // An event of a former life must find every trigger that it is for.
    await this.engine.settled();
    this.buses.open({ list: () => this.engine.stored('eventbridge') });
    this.#expiring = setInterval(() => {
      Promise.all([queues.expire(), outbox.expire()]).catch((error: unknown) =>
        log('error', 'messages that are too old could not be removed', error),
      );
    }, EXPIRE_MS);
    this.#expiring.unref();
  }

  async close(): Promise<void> {
    clearInterval(this.#expiring);
    await this.buses.close();
    await this.engine.close();
  }
}
