import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../../base/clock.ts';
import type { OutcomeHandler } from '../../invocation/async/task-outcome.ts';
import type { AsyncTask, DueTask, FinalStatus } from '../../model/async-task.ts';
import type { CloudEvent } from '../../model/cloud-event.ts';
import { askedBy, type AskedEvent } from '../../model/event-task-id.ts';
import { taskHash } from '../../model/task-hash.ts';
import type { EventBuses } from './event-buses.ts';
import { mayBeEvents, replyEvents, replyHeadOf } from './reply-events.ts';

/** Functions whose answers are events that functions answer: a circle ends after so many. */
export const REPLY_HOPS_MAX = 16;
/** What a sender may send at once. */
const REPLY_BYTES_MAX = 4 * 1024 * 1024;
/** A bus that has no room, or a disk that refuses, is tried for so long. */
const PUBLISH_MS_MAX = 60 * 60_000;
/** Of the hash of the task that is answered: the ids of tasks that it is a part of hold more besides. */
const KEY_CHARACTERS = 32;
const REASON_CHARACTERS_MAX = 512;

export interface EventRepliesDeps {
  readonly buses: EventBuses;
  readonly clock: Clock;
  readonly readBytes: (task: AsyncTask, which: 'result', bytesMax: number) => Promise<Buffer | undefined>;
}

/**
 * Publishes the CloudEvents that functions answer events with, where their trigger names a bus for them. An answer that
 * is no event is none. Answers come to the bus at least once, and to each function once: ids of the tasks that they
 * become are made of the task that they answer.
 */
export class EventReplies implements OutcomeHandler {
  readonly #deps: EventRepliesDeps;

  constructor(deps: EventRepliesDeps) {
    this.#deps = deps;
  }

  isAwaited(task: DueTask, status: FinalStatus): boolean {
    return status === 'Succeeded' && originOf(task) !== undefined;
  }

  async onSettled(task: AsyncTask): Promise<string | undefined> {
    const origin = originOf(task);
    if (task.status !== 'Succeeded' || origin === undefined) return '';
    const { buses, clock } = this.#deps;
    // Triggers are followed a moment after the start.
    if (!buses.isOpen) return undefined;
    const busName = buses.replyBusOf(origin.triggerId);
    if (busName === undefined) return '';
    try {
      const events = await this.#eventsOf(task);
      if (events.length === 0) return '';
      const hops = origin.hops + 1;
      if (hops > REPLY_HOPS_MAX) {
        return failed(`more than ${REPLY_HOPS_MAX} answers have led to it: is it a circle?`);
      }
      await buses.publish(busName, events, { key: `reply-${taskHash(task).slice(0, KEY_CHARACTERS)}`, hops });
      return 'Succeeded';
    } catch (thrown) {
      const error = ThawError.from(thrown, `publishing the answer of task '${task.taskId}'`);
      const isOver = clock.now() - (task.endedAt ?? 0) > PUBLISH_MS_MAX;
      return error.isRetryable && !isOver ? undefined : failed(`${error.code}: ${error.message}`);
    }
  }

  async #eventsOf(task: AsyncTask): Promise<readonly CloudEvent[]> {
    const head = replyHeadOf(task.resultHead);
    if (!mayBeEvents(head)) return [];
    const size = task.result?.size ?? 0;
    const body = await this.#deps.readBytes(task, 'result', REPLY_BYTES_MAX);
    if (size > REPLY_BYTES_MAX) {
      throw new ThawError('PAYLOAD_TOO_LARGE', `it has more than ${REPLY_BYTES_MAX} bytes`);
    }
    return replyEvents(head, body ?? Buffer.alloc(0));
  }
}

function originOf({ trigger, taskId }: DueTask): AskedEvent | undefined {
  return trigger === 'eventbridge' ? askedBy(taskId) : undefined;
}

function failed(reason: string): string {
  return `Failed: the answer was not published: ${reason}`.slice(0, REASON_CHARACTERS_MAX);
}
