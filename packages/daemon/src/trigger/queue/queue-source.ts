import type { Clock } from '../../base/clock.ts';
import type { AccountPlace } from '../../catalog/arn.ts';
import type { QueueTrigger } from '../../model/trigger.ts';
import type { MessageQueues } from '../../store/message-queues.ts';
import type { AttachedTrigger, TriggerSource, TriggerTarget } from '../trigger-source.ts';
import { QueueConsumer } from './queue-consumer.ts';
import { queueEvent } from './queue-event.ts';

/** Messages of a queue, in batches. */
export class QueueSource implements TriggerSource<QueueTrigger> {
  readonly triggerType = 'queue';
  readonly #queues: MessageQueues;
  readonly #clock: Clock;
  readonly #place: AccountPlace;

  constructor(queues: MessageQueues, clock: Clock, place: AccountPlace) {
    this.#queues = queues;
    this.#clock = clock;
    this.#place = place;
  }

  attach({ config }: QueueTrigger, target: TriggerTarget): AttachedTrigger {
    return new QueueConsumer({
      config,
      target,
      queues: this.#queues,
      clock: this.#clock,
      eventOf: (messages) => queueEvent(this.#arnOf(config.queueName), this.#place.region, messages),
    });
  }

  sampleEvent({ config }: QueueTrigger): Buffer {
    const nowMs = this.#clock.now();
    return queueEvent(this.#arnOf(config.queueName), this.#place.region, [
      {
        messageId: '00000000-0000-4000-8000-000000000000',
        receipt: '0-0',
        body: 'a message',
        attributes: {},
        sentAt: nowMs,
        firstReceivedAt: nowMs,
        receiveCount: 1,
      },
    ]);
  }

  #arnOf(queueName: string): string {
    return `acs:thaw:${this.#place.region}:${this.#place.accountId}:queues/${queueName}`;
  }
}
